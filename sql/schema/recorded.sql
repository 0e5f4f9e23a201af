-- The latest entry of each file: a file that was begun and not finished says 'started'.
SELECT
    version,
    argMax(name, recorded_at) AS file,
    argMax(checksum, recorded_at) AS file_checksum,
    argMax(state, recorded_at) AS newest_state,
    argMax(project_version, recorded_at) AS by_project_version,
    toString(max(recorded_at)) AS newest_at,
    argMax(views_version, recorded_at) AS newest_views_version
FROM masques_ops.schema_migrations
GROUP BY version
ORDER BY version
