-- How a backup or a restore that was begun under this id goes on.
SELECT status, error, num_files, total_size FROM system.backups WHERE id = {id:String}
