-- Every model that was loaded, the one in force last.
SELECT m.* EXCEPT loaded_at, h.heirs_most AS heirs_most
FROM masques_ops.reputation_models AS m
LEFT ANY JOIN masques_ops.reputation_model_heirs AS h ON h.model_version = m.model_version
ORDER BY m.loaded_at, m.model_version
