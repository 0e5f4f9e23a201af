-- Repeated keys of the batch at hand, by file.
SELECT
    source,
    countIf(verdict = 'duplicate') AS duplicates,
    countIf(verdict = 'conflict') AS conflicts
FROM masques_ops.intake_repeats FINAL
GROUP BY source
