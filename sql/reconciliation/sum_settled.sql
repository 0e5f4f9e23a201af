-- Sums all settlements as they stood at a time before which no row can come any more.
INSERT INTO masques_ops.settled_sums (counted_to, currency, settled, settlements)
SELECT
    {counted_to:DateTime64(3, 'UTC')}, n.v.1 AS asset,
    sum(multiIf(n.v.2 != 'confirmed', toDecimal256(0, 18), n.v.4 = 'in', n.v.3, -n.v.3)), count()
FROM
(
    SELECT e.settlement_id AS settlement_id, argMax(
        (toString(e.currency), toString(e.status), e.amount, toString(e.direction)),
        (e.revision, e.recorded_at)) AS v
    FROM masques.settlements AS e
    WHERE e.ingested_at < {counted_to:DateTime64(3, 'UTC')}
    GROUP BY e.settlement_id
) AS n
GROUP BY asset
