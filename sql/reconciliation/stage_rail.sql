-- Folds what settlements say to one row per payment. One that is for several payments has for each its own
-- amount; the first of them takes the difference.
INSERT INTO masques_ops.payments_rail
    (item_id, settlements, confirmed, failed, waiting, open, settled, waited_for, assets, asset, directions,
    payers, deadline_s, reason, rail, network, settlement_id, at, first_at, last_at)
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    hours AS (SELECT hour FROM masques_ops.payments_touched_hours),
    touched AS (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1),
    links AS
    (
        SELECT settlement_id, item_id, first_id, payments FROM masques_ops.payments_links
        WHERE toUInt128(item_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128} AND ({is_full:UInt8} OR item_id IN touched)
    ),
    shares AS
    (
        SELECT
            l.settlement_id AS settlement_id, l.item_id AS item_id, b.posted AS own,
            sum(b.posted) OVER (PARTITION BY l.settlement_id) AS total
        FROM (SELECT settlement_id, item_id FROM masques_ops.payments_links WHERE payments > 1) AS l
        LEFT ANY JOIN (SELECT item_id, posted FROM masques_ops.payments_booked) AS b ON b.item_id = l.item_id
    )
SELECT
    w.item_id AS item_id,
    count() AS settlements,
    countIf(w.v.2 = 'confirmed') AS confirmed,
    countIf(w.v.2 = 'failed') AS failed,
    countIf(w.v.2 NOT IN ('confirmed', 'failed')) AS waiting,
    countIf(w.v.2 NOT IN ('confirmed', 'failed') AND NOT w.v.10) AS open,
    sumIf(w.share, w.v.2 = 'confirmed') AS settled,
    sumIf(w.share, w.v.2 NOT IN ('confirmed', 'failed')) AS waited_for,
    groupUniqArrayIf(w.v.1, w.v.2 = 'confirmed') AS assets,
    max(w.v.1) AS asset,
    groupUniqArrayIf(w.v.6, w.v.2 = 'confirmed') AS directions,
    groupUniqArrayIf(w.v.8, w.v.2 = 'confirmed' AND w.v.6 = 'in' AND w.v.8 != none) AS payers,
    maxIf(w.v.9, w.v.2 NOT IN ('confirmed', 'failed')) AS deadline_s,
    max(w.v.7) AS reason,
    -- Of the same settlement.
    max((w.v.5, w.v.11)).1 AS rail,
    max((w.v.5, w.v.11)).2 AS network,
    max(w.settlement_id) AS settlement_id,
    max(w.v.4) AS at,
    min(w.first_at) AS first_at,
    max(w.last_at) AS last_at
FROM
(
    SELECT
        l.item_id AS item_id, n.settlement_id AS settlement_id, n.v AS v, n.first_at AS first_at,
        n.last_at AS last_at,
        multiIf(l.payments < 2, n.v.3, l.item_id = l.first_id, n.v.3 - (h.total - h.own), h.own) AS share
    FROM
    (
        SELECT
            s.settlement_id AS settlement_id,
            argMax((toString(s.currency), toString(s.status), s.amount, s.timestamp, toString(s.rail),
                toString(s.direction), s.failure_reason, s.from_account_id,
                -- A voucher can be claimed until its payer asks the money back: until then nothing is due.
                if(s.status = 'claimable' AND s.attributes['deadline_s'] = '', 4102444800,
                    toUInt32OrZero(s.attributes['deadline_s'])),
                s.attributes['closed'] != '', toString(s.network)),
                (s.revision, s.recorded_at)) AS v,
            min(s.timestamp) AS first_at, max(s.timestamp) AS last_at
        FROM masques.settlements AS s
        WHERE ({is_full:UInt8} OR toStartOfHour(s.timestamp) IN hours)
            AND s.settlement_id IN (SELECT settlement_id FROM links)
        GROUP BY settlement_id
    ) AS n
    INNER JOIN links AS l ON l.settlement_id = n.settlement_id
    LEFT JOIN shares AS h ON h.settlement_id = n.settlement_id AND h.item_id = l.item_id
    WHERE n.v.2 != 'superseded'
) AS w
-- Sent twice, it inserts once.
WHERE (SELECT count() FROM masques_ops.payments_rail) = 0
GROUP BY item_id
SETTINGS use_skip_indexes = 0
