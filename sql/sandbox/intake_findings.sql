-- Findings of the intake by kind.
SELECT finding, table_name AS table, count() AS rows
FROM masques_marts.intake_findings
GROUP BY finding, table_name
ORDER BY finding
