-- Every object of the three databases. Inner tables of a refresh belong to their view.
SELECT
    concat(database, '.', name) AS name,
    engine,
    engine_full,
    partition_key,
    sorting_key,
    as_select,
    create_table_query
FROM system.tables
WHERE database IN ('masques', 'masques_ops', 'masques_marts') AND NOT startsWith(name, '.')
ORDER BY name
