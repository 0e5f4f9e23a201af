-- Writes down what is owed and what is there, where it is not what was written last. What neither payments in
-- time nor breaks explain counts from the second run on: the sides are not read at one moment.
INSERT INTO masques_ops.positions
    (asset, computed_at, owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
    broken, unexplained, moved_unseen, uncovered, state, sides, ingested_at)
WITH
    toDecimal256(0, 18) AS zero,
    last AS
    (
        SELECT
            asset, unexplained AS unexplained_before,
            cityHash64(owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
                broken, unexplained, moved_unseen, uncovered, state, sides) AS content
        FROM masques_ops.positions
        WHERE computed_at < {began_at:DateTime64(6, 'UTC')}
        ORDER BY computed_at DESC
        LIMIT 1 BY asset
    )
SELECT
    n.asset AS asset, {began_at:DateTime64(6, 'UTC')} AS computed_at,
    owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
    broken, unexplained, moved_unseen, uncovered,
    multiIf(
        moved_unseen != zero OR uncovered > zero
            OR (unexplained != zero AND unexplained = l.unexplained_before), 'differs',
        unread > 0, 'unread',
        broken != zero, 'broken',
        'proved') AS state,
    sides, now64(3, 'UTC')
FROM masques_ops.position_now AS n
LEFT JOIN last AS l ON l.asset = n.asset
WHERE cityHash64(owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
    broken, unexplained, moved_unseen, uncovered, state, sides) != l.content
