-- Payment channels whose events a fetch reads: with vouchers to claim or with money that no voucher is
-- known of, and those with claims in blocks that are read again. Earlier blocks are searched too for a
-- voucher that was never seen beside its channel, and for claims that the contract counts and no event
-- was found of.
-- Without skip indexes: see current_by_id.sql.
WITH
    vouchers AS
    (
        SELECT payment_ref AS channel_id, status, timestamp
        FROM masques_marts.settlements_current
        WHERE rail = {rail:String} AND network = {network:String}
            AND status IN ('off_chain', 'claimable') AND mapContains(attributes, 'charged_total')
    ),
    claims AS
    (
        SELECT channel_id, max(total_units) AS total,
            countIf(block BETWEEN {first:UInt64} AND {last:UInt64}) AS read_again
        FROM masques_ops.channel_claims AS c FINAL
        WHERE rail = {rail:String} AND network = {network:String}
        GROUP BY channel_id
    ),
    known AS
    (
        SELECT channel_id, claimed, balance, claimed_units
        FROM masques_ops.channels FINAL
        WHERE rail = {rail:String} AND network = {network:String}
    ),
    open AS
    (
        SELECT
            channel_id,
            min(timestamp) AS oldest,
            minIf(timestamp, status = 'off_chain') AS newcomer,
            countIf(status = 'off_chain') AS newcomers
        FROM vouchers
        GROUP BY channel_id
    ),
    all_channels AS
    (
        SELECT channel_id FROM open
        UNION DISTINCT
        SELECT channel_id FROM claims WHERE read_again > 0
        UNION DISTINCT
        SELECT channel_id FROM known WHERE balance > claimed
    )
SELECT
    a.channel_id AS channel_id,
    multiIf(
        o.newcomers > 0, toUnixTimestamp64Nano(o.newcomer),
        k.claimed_units > c.total AND o.channel_id != '', toUnixTimestamp64Nano(o.oldest),
        NULL) AS search_from_ns
FROM all_channels AS a
LEFT JOIN open AS o ON o.channel_id = a.channel_id
LEFT JOIN claims AS c ON c.channel_id = a.channel_id
LEFT JOIN known AS k ON k.channel_id = a.channel_id
ORDER BY channel_id
SETTINGS use_skip_indexes = 0
