-- Accounts known, and rows written since a time of the server's clock. (Counting all rows before and
-- after would be wrong: a merge may remove replaced ones in between.)
SELECT
    uniqExact(account_id) AS accounts,
    countIf(ingested_at >= toDateTime64({since:String}, 3, 'UTC')) AS written
FROM masques.accounts
