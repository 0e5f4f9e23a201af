-- What the shares of the model in force add up to.
SELECT model_version, m.model.share_task_quality + m.model.share_economic
    + m.model.share_identity_hygiene AS shares
FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m
