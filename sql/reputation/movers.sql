-- The scores that moved most within a week.
SELECT identity_id, display_name, overall_score, change_7d, change_30d, confidence
FROM masques_marts.reputation_ranking
WHERE change_7d != 0
ORDER BY abs(change_7d) DESC, identity_id
LIMIT {rows:UInt32}
