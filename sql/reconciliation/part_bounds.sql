-- The least id of each part but the first, of about as many rows each. Ids that begin with a time lie in time
-- together, so that a part reads little more than its own rows. Of ids a sample is enough.
WITH
    greatest(intDiv({rows:UInt64}, 200000), 1) AS every,
    ids AS
    (
        SELECT toUInt128(assumeNotNull(ifNull(pending_id, transaction_id))) AS id
        FROM masques.transactions WHERE rowNumberInAllBlocks() % every = 0
        UNION ALL
        SELECT toUInt128(assumeNotNull(ifNull(transaction_id, request_id)))
        FROM masques.api_requests WHERE rowNumberInAllBlocks() % every = 0
        UNION ALL
        SELECT toUInt128(settlement_id)
        FROM masques.settlements WHERE rowNumberInAllBlocks() % every = 0
    ),
    (SELECT arraySort(groupArray(id)) FROM ids) AS sorted
SELECT DISTINCT toString(sorted[1 + intDiv(length(sorted) * arrayJoin(range(1, {parts:UInt32})), {parts:UInt32})]) AS bound
WHERE notEmpty(sorted)
ORDER BY toUInt128(bound)
