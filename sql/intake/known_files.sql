-- What was read of one folder of the landing zone.
SELECT path, version, source, state, attempts, bytes, sha256
FROM masques_ops.intake_files FINAL
WHERE folder = {folder:String}
ORDER BY recorded_at
