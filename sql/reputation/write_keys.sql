-- Keys that identities are seen with for the first time. Older versions of an identity vanish in
-- merges, so what was seen is kept here.
INSERT INTO masques_ops.identity_keys
SELECT
    identity_id,
    if(attributes['key_id'] != '', attributes['key_id'], attributes['public_key']) AS key,
    min(updated_at)
FROM masques.identities
WHERE key != '' AND (identity_id, key) NOT IN (SELECT identity_id, key FROM masques_ops.identity_keys)
GROUP BY identity_id, key
