-- Which transfer refunds which. Fields that the table lacks are counted.
WITH
    toUUIDOrNull(j.transaction_id) AS transaction_id_read,
    toUUIDOrNull(j.refund_of) AS refund_of_read,
    time_of(j.timestamp) AS timestamp_read
SELECT
    chunk_no,
    source,
    line_no,
    line,
    multiIf(
        line_reason != '', line_reason,
        j.transaction_id = '', 'missing:transaction_id',
        isNull(transaction_id_read), 'bad_uuid:transaction_id',
        transaction_id_read = zero, 'missing:transaction_id',
        j.refund_of = '', 'missing:refund_of',
        isNull(refund_of_read), 'bad_uuid:refund_of',
        refund_of_read = zero, 'missing:refund_of',
        refund_of_read = transaction_id_read, 'refunds_itself',
        j.timestamp = '', 'missing:timestamp',
        isNull(timestamp_read), 'bad_timestamp:timestamp',
        timestamp_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        timestamp_read < now64(9, 'UTC') - INTERVAL 7 YEAR + INTERVAL 1 DAY, 'past_retention',
        '') AS row_reason,
    length(unknown_keys) AS unknown_fields,
    ifNull(transaction_id_read, zero) AS transaction_id,
    ifNull(refund_of_read, zero) AS refund_of,
    ifNull(timestamp_read, epoch) AS timestamp,
    j.note AS note,
    channel
FROM objects
