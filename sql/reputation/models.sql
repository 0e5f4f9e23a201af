-- Every model that was loaded, the one in force last.
SELECT * EXCEPT loaded_at
FROM masques_ops.reputation_models
ORDER BY loaded_at, model_version
