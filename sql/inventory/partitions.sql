-- The partitions of a table, as CHECK TABLE names them.
SELECT DISTINCT partition
FROM system.parts
WHERE active AND database = {database:String} AND table = {table:String}
ORDER BY partition
