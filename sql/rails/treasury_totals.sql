-- Money in and out by rail and asset, and its difference from a second way to sum it.
WITH folded AS
(
    SELECT
        newest.1 AS rail, newest.2 AS currency, newest.3 AS direction, newest.4 AS status,
        newest.5 AS amount
    FROM
    (
        SELECT argMax(tuple(rail, currency, direction, status, amount), revision) AS newest
        FROM masques.settlements
        GROUP BY settlement_id
    )
)
SELECT
    rail,
    currency,
    came_in,
    went_out,
    came_in - went_out AS net,
    pending_in,
    came_in - went_out
        - (f.sum_in - f.sum_out) AS difference
FROM
(
    SELECT
        rail,
        currency,
        sumIf(amount, status = 'confirmed' AND direction = 'in') AS came_in,
        sumIf(amount, status = 'confirmed' AND direction = 'out') AS went_out,
        sumIf(amount, status = 'pending' AND direction = 'in') AS pending_in
    FROM masques_marts.settlements_by_rail
    GROUP BY rail, currency
) AS v
LEFT JOIN
(
    SELECT
        rail,
        currency,
        sumIf(amount, status = 'confirmed' AND direction = 'in') AS sum_in,
        sumIf(amount, status = 'confirmed' AND direction = 'out') AS sum_out
    FROM folded
    GROUP BY rail, currency
) AS f USING (rail, currency)
ORDER BY rail, currency
