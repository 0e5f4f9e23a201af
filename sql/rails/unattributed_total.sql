-- Settlements whose payer's account is not known.
SELECT count()
FROM masques_marts.settlements_current
WHERE from_account_id = toUUID({unattributed:String})
