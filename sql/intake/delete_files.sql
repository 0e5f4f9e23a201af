-- Deletes files from the log, in all their versions.
DELETE FROM masques_ops.intake_files
WHERE folder = {table_name:String} AND path IN {paths:Array(String)}
