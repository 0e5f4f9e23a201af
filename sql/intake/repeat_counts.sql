-- Repeated keys of the batch at hand, by file.
SELECT
    source,
    countIf(verdict = 'duplicate') AS duplicates,
    countIf(verdict = 'conflict') AS conflicts
FROM (SELECT DISTINCT chunk_no, line_no, source, verdict FROM masques_ops.intake_repeats)
GROUP BY source
