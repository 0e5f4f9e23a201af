-- How many identities have a score in each tenth.
SELECT least(9, toUInt8(floor(overall_score * 10))) AS tenth, count() AS identities
FROM masques.reputation_scores FINAL
GROUP BY tenth
ORDER BY tenth
