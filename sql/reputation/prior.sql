-- The score without evidence, by the model in force at a time.
SELECT m.model.prior_score AS prior_score
FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m
