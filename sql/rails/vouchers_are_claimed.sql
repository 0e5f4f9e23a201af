-- Payment channels whose payer has asked back money that vouchers of ours are for, when half of the delay
-- is over: what is not claimed by the deadline is lost.
SELECT network, channel_id, payer, currency, at_risk, deadline, vouchers
FROM masques_marts.unclaimed_channels
WHERE at_risk > 0 AND toUnixTimestamp(assumeNotNull(deadline)) < {now_s:Int64} + withdraw_delay_s / 2
ORDER BY deadline, channel_id
LIMIT 100
