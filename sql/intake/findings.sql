-- Findings of one table among the rows of the last seven days.
SELECT toString(finding) AS finding, count() AS rows
FROM masques_marts.intake_findings
WHERE table_name = {table_name:String} AND at > now64(9) - INTERVAL 7 DAY
GROUP BY finding
ORDER BY rows DESC, finding
