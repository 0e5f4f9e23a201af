-- How many rows of facts there are.
SELECT
    (SELECT count() FROM masques_ops.reputation_parties) AS parties,
    (SELECT count() FROM masques_ops.reputation_references) AS references,
    (SELECT count() FROM masques_ops.reputation_evidence_log) AS evidence
