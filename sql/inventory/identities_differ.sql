-- Identities that are not as the newest of their versions says: gone, too many, or other.
WITH
    newest AS
    (
        SELECT identity_id, row_hash
        FROM
        (
            SELECT
                identity_id,
                cityHash64(
                    identity_type, created_at, display_name, attributes, external_ids, status,
                    status_reason, updated_at, channel) AS row_hash,
                updated_at
            FROM masques_ops.identity_versions
            ORDER BY identity_id, updated_at DESC
            LIMIT 1 BY identity_id
        )
    ),
    there AS
    (
        SELECT
            identity_id,
            cityHash64(
                identity_type, created_at, display_name, attributes, external_ids, status,
                status_reason, updated_at, channel) AS row_hash
        FROM masques.identities FINAL
    )
SELECT
    toString(identity_id) AS identity,
    multiIf(sum(side) = 1, 'is gone', sum(side) = 2, 'was never written', 'has other content') AS finding
FROM
(
    SELECT identity_id, row_hash, 1 AS side FROM newest
    UNION ALL
    SELECT identity_id, row_hash, 2 FROM there
)
GROUP BY identity_id
HAVING sum(side) != 3 OR uniqExact(row_hash) != 1
ORDER BY identity
LIMIT {most:UInt32}
