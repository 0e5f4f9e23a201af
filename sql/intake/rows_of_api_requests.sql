-- What the 402 gate let through, challenged or refused. Fields that the table lacks are counted.
WITH
    toUUIDOrNull(j.request_id) AS request_id_read,
    time_of(j.timestamp) AS timestamp_read,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    toUUIDOrNull(j.session_id) AS session_id_read,
    toUUIDOrNull(j.transaction_id) AS transaction_id_read,
    integer_of(j.tokens_input) AS tokens_input_read,
    integer_of(j.tokens_output) AS tokens_output_read,
    integer_of(j.bytes_transferred) AS bytes_transferred_read,
    integer_of(j.duration_ms) AS duration_ms_read,
    integer_of(j.status_code) AS status_code_read,
    toDecimal64OrNull(j.price_usd, 6) AS price_usd_read,
    charge_of(j.charged) AS charged_read,
    lower(j.trace_id) AS trace_id_hex,
    lower(j.span_id) AS span_id_hex,
    now64(9, 'UTC') - INTERVAL 1 YEAR + INTERVAL 1 DAY AS oldest,
    now64(9, 'UTC') + INTERVAL 1 HOUR AS newest,
    -- The conditions below once more, as arithmetic, which is several times faster than looking for
    -- the first of them that holds. What is not certainly good is checked that way; 1 is never wrong.
    ifNull(
        is_plain
        * (request_id_read != zero)
        * (timestamp_read >= oldest)
        * (timestamp_read <= newest)
        * (identity_id_read != zero)
        * (notEmpty(j.session_id) = isNotNull(session_id_read))
        * (notEmpty(j.transaction_id) = isNotNull(transaction_id_read))
        * notEmpty(j.endpoint)
        * (notEmpty(j.tokens_input) = isNotNull(tokens_input_read))
        * (notEmpty(j.tokens_output) = isNotNull(tokens_output_read))
        * (notEmpty(j.bytes_transferred) = isNotNull(bytes_transferred_read))
        * (notEmpty(j.duration_ms) = isNotNull(duration_ms_read))
        * (notEmpty(j.status_code) = isNotNull(status_code_read))
        * (ifNull(status_code_read, 0) <= 65535)
        * match(j.price_usd, '^(?:[0-9]{1,12}(?:[.][0-9]{1,6})?)?$')
        * (j.payment_status IN (
            'challenged', 'paid', 'free_tier', 'rejected', 'insufficient_funds',
            'settlement_pending', 'unknown'))
        * match(trace_id_hex, '^[0-9a-f]{0,32}$')
        * match(span_id_hex, '^[0-9a-f]{0,16}$')
        * (notEmpty(j.charged) = isNotNull(charged_read))
        * (notEmpty(j.charged) = match(j.charged_currency, currency_form))
        * (notEmpty(j.charged) = notEmpty(j.charged_currency)),
        0) = 1 AS is_surely_good
SELECT
    chunk_no,
    source,
    line_no,
    line,
    if(is_surely_good, '', multiIf(
        line_reason != '', line_reason,
        j.request_id = '', 'missing:request_id',
        isNull(request_id_read), 'bad_uuid:request_id',
        request_id_read = zero, 'missing:request_id',
        j.timestamp = '', 'missing:timestamp',
        isNull(timestamp_read), 'bad_timestamp:timestamp',
        timestamp_read > newest, 'future_timestamp',
        timestamp_read < oldest, 'past_retention',
        j.identity_id = '', 'missing:identity_id',
        isNull(identity_id_read), 'bad_uuid:identity_id',
        identity_id_read = zero, 'missing:identity_id',
        j.session_id != '' AND isNull(session_id_read), 'bad_uuid:session_id',
        j.transaction_id != '' AND isNull(transaction_id_read), 'bad_uuid:transaction_id',
        j.endpoint = '', 'missing:endpoint',
        j.tokens_input != '' AND isNull(tokens_input_read), 'bad_integer:tokens_input',
        j.tokens_output != '' AND isNull(tokens_output_read), 'bad_integer:tokens_output',
        j.bytes_transferred != '' AND isNull(bytes_transferred_read),
            'bad_integer:bytes_transferred',
        j.duration_ms != '' AND isNull(duration_ms_read), 'bad_integer:duration_ms',
        j.status_code != '' AND isNull(status_code_read), 'bad_integer:status_code',
        status_code_read > 65535, 'bad_integer:status_code',
        j.price_usd != ''
            AND (
                isNull(price_usd_read)
                OR price_usd_read < 0
                OR toDecimal256OrNull(j.price_usd, 40) != price_usd_read
                -- Even 40 decimals have no room for 1e-50.
                OR (price_usd_read = 0 AND match(j.price_usd, '^[^eE]*[1-9]'))),
            'bad_decimal:price_usd',
        j.charged = '' AND j.charged_currency != '', 'missing:charged',
        j.charged != '' AND isNull(charged_read), 'bad_decimal:charged',
        j.charged != '' AND j.charged_currency = '', 'missing:charged_currency',
        j.charged != '' AND NOT match(j.charged_currency, currency_form),
            'bad_currency:charged_currency',
        j.payment_status = '', 'missing:payment_status',
        j.payment_status NOT IN (
            'challenged', 'paid', 'free_tier', 'rejected', 'insufficient_funds',
            'settlement_pending', 'unknown'),
            'unknown_payment_status',
        NOT match(trace_id_hex, '^[0-9a-f]{0,32}$'), 'bad_trace_id:trace_id',
        NOT match(span_id_hex, '^[0-9a-f]{0,16}$'), 'bad_span_id:span_id',
        '')) AS row_reason,
    length(unknown_keys) AS unknown_fields,
    ifNull(request_id_read, zero) AS request_id,
    ifNull(timestamp_read, epoch) AS timestamp,
    ifNull(identity_id_read, zero) AS identity_id,
    nullIf(session_id_read, zero) AS session_id,
    j.endpoint AS endpoint,
    upper(j.method) AS method,
    j.resource_type AS resource_type,
    j.resource_id AS resource_id,
    ifNull(tokens_input_read, 0) AS tokens_input,
    ifNull(tokens_output_read, 0) AS tokens_output,
    ifNull(bytes_transferred_read, 0) AS bytes_transferred,
    ifNull(duration_ms_read, 0) AS duration_ms,
    ifNull(price_usd_read, 0) AS price_usd,
    nullIf(transaction_id_read, zero) AS transaction_id,
    toUInt16(least(ifNull(status_code_read, 0), 65535)) AS status_code,
    j.payment_status AS payment_status,
    hex_id_of(trace_id_hex, 32) AS trace_id,
    hex_id_of(span_id_hex, 16) AS span_id,
    channel,
    charged_read AS charged,
    j.charged_currency AS charged_currency
FROM objects
