-- Parses lines of files into rows, each with the reason why it cannot be loaded, if any. This is the
-- frame; what the fields of a table mean is in rows_of_<table>.sql, which takes the place of the
-- comment at the end and uses the names that are defined here.
--
-- {fields}: the names of the table's fields.
INSERT INTO masques_ops.{staged:Identifier}
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS zero,
    toDateTime64(0, 9, 'UTC') AS epoch,

    -- ISO-8601, UTC when no zone is given, at most nine decimals; or epoch seconds (fractions
    -- allowed), milli-, micro- or nanoseconds, by their 10, 13, 16 or 19 digits. The engine's
    -- own best effort would take 12:30 for today and 25:00 for tomorrow.
    concat(
        '^(?:',
        '\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])',
        '(?:[Tt ](?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d{1,9})?)?',
        '(?:[Zz]|[+-](?:[01]\\d|2[0-3])(?::?[0-5]\\d)?)?)?',
        '|\\d{10}(?:\\.\\d{1,9})?|\\d{13}|\\d{16}|\\d{19})$') AS time_form,
    -- RFC 3339 lets t and z be lower case, PostgreSQL leaves the minutes of a zone out.
    (text -> if(
        match(text, time_form),
        parseDateTime64BestEffortOrNull(
            if(
                substring(text, length(text) - 2, 1) IN ('+', '-') AND position(text, ':') > 0,
                concat(upper(text), ':00'),
                upper(text)),
            9, 'UTC'),
        NULL)) AS time_of,

    -- Floats of whole numbers are what pandas makes of a column with gaps.
    (text -> toUInt64OrNull(
        if(endsWith(text, '.0'), substring(text, 1, length(text) - 2), text))) AS integer_of,

    -- What was charged, exact, in the 58 digits before the point and 18 behind it that the column has;
    -- NULL for what would not be kept whole. Doubles near zero come with an exponent.
    (text -> multiIf(
        match(text, '^[0-9]{1,58}(?:[.][0-9]{1,18}0*)?$'), toDecimal256OrNull(text, 18),
        match(text, '^[0-9]+(?:[.][0-9]+)?[eE][+-]?[0-9]{1,2}$')
            AND toDecimal256OrNull(text, 40) = toDecimal256OrNull(text, 18)
            -- Even 40 decimals have no room for 1e-50.
            AND (toDecimal256OrNull(text, 18) != 0 OR match(text, '^[0.]+[eE]')),
            toDecimal256OrNull(text, 18),
        NULL)) AS charge_of,
    -- As the chart names assets.
    '^[A-Z][A-Z0-9.]{0,15}$' AS currency_form,

    -- Hex digits of a W3C id in lower case, padded with zeros; all zeros mean none.
    ((hex, digits) -> if(match(hex, '^0*$'), '', leftPad(hex, digits, '0'))) AS hex_id_of,

    -- The engine's parser puts a number with a fraction or an exponent through a double. One that
    -- has more digits than a double keeps, or is too near zero for it, is made a text first, and all
    -- such numbers of its line with it.
    '-?[0-9](?:[0-9.eE+-]{15}|[0-9.]*[eE]-[0-9]{3})' AS long_number,
    (json -> if(
        position(json, '[') = 0,
        match(json, concat(':[ \t\r\n]*', long_number)),
        match(json, concat('[:,[][ \t\r\n]*', long_number)))) AS has_long_number,
    -- Strings are skipped whole. Valid JSON holds no raw \1, so it can mark where quotes go.
    (json -> replaceAll(replaceAll(
        replaceRegexpAll(
            json,
            '("(?:[^"\\\\]|\\\\.)*")|(-?[0-9]+[.eE][0-9.eE+-]+)',
            '\\1\x01\\2\x01'),
        '\x01\x01', ''),
        '\x01', '"')) AS with_decimals_as_texts,
    (json -> if(
        has_long_number(json) AND isValidJSON(json), with_decimals_as_texts(json), json)) AS exact,

    -- The texts of a map, with the fields that the table lacks; a null is left out.
    (json -> mapFilter(
        (k, v) -> isNotNull(v),
        JSONExtract(json, 'Map(String, Nullable(String))'))) AS map_of,
    ((own, object, names) -> mapSort(mapUpdate(
        if(
            empty(names),
            CAST(map(), 'Map(String, Nullable(String))'),
            mapFilter((k, v) -> has(names, k), map_of(object))),
        map_of(exact(own))))) AS map_with_unknown,
    -- Names of keys are kept in dictionaries, which every reader holds in memory.
    (texts -> multiIf(
        length(texts) > 1000, 'too_many_keys:',
        arrayExists(k -> length(k) > 256, mapKeys(texts)), 'key_too_long:',
        '')) AS map_problem,
    ((texts, problem) -> mapFilter((k, v) -> problem = '', texts)) AS map_within_limits,

    lines AS
    (
        SELECT chunk_no, source, channel, problem, first_line + n - 1 AS line_no, line, json
        FROM
        (
            SELECT
                chunk_no,
                source,
                channel,
                first_line,
                problem,
                if(problem = '', splitByChar('\n', chunk), [chunk]) AS lines,
                -- Most chunks hold no long number, and then none of their lines is looked through.
                position(chunk, '[') > 0
                    OR match(chunk, concat(':[ \t\r\n]*', long_number)) AS may_have_long_number
            FROM input(
                'chunk_no UInt32, source LowCardinality(String), channel LowCardinality(String),
                first_line UInt64, problem LowCardinality(String), chunk String')
            WHERE chunk_no NOT IN (SELECT chunk_no FROM masques_ops.{staged:Identifier})
        )
        -- Here, and not below, exact() is computed once a line: the engine computes what is
        -- conditional again for each condition that uses it.
        ARRAY JOIN
            lines AS line,
            if(may_have_long_number, arrayMap(each -> exact(each), lines), lines) AS json,
            arrayEnumerate(lines) AS n
    ),

    -- Each line with its fields as texts: missing, null and empty are the same.
    objects AS
    (
        SELECT
            *,
            concat('Tuple(', arrayStringConcat({fields:Array(String)}, ' String, '), ' String)')
                AS fields_type,
            JSONExtract(json, fields_type) AS j,
            tupleHammingDistance(j, JSONExtract('{}', fields_type)) AS fields_used,
            -- An object of known fields, each there once; most lines are, so the rest comes later.
            (fields_used > 0) * (JSONLength(json) = fields_used) * startsWith(line, '{')
                * (problem = '') = 1 AS is_plain,
            if(is_plain, [], JSONExtractKeys(json)) AS keys,
            arrayFilter(k -> NOT has({fields:Array(String)}, k), keys) AS unknown_keys,
            if(is_plain, '', multiIf(
                problem != '', problem,
                trimBoth(line, ' \t\r') = '', 'blank',
                NOT isValidJSON(line), 'invalid_json',
                -- An array would be read by position.
                JSONType(line) != 'Object', 'not_an_object',
                length(keys) != length(arrayDistinct(keys)), 'repeated_field',
                '')) AS line_reason
        FROM lines
    )
SELECT
    chunk_no,
    source,
    line_no,
    row_reason,
    if(row_reason IN ('', 'blank'), '', line),
    * EXCEPT (chunk_no, source, line_no, row_reason, line)
FROM
(
    /*rows*/
)
