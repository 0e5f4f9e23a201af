-- The three databases.
--
-- masques        the nine objects that consumers query, and nothing else
-- masques_ops    what the pipeline needs for itself: migrations, chart, cursors, quarantine
-- masques_marts  views for people
--
-- What a cluster needs stands in comments that a plain client ignores and `masques migrate` turns on
-- when MASQUES_CLICKHOUSE_CLUSTER is set: a Replicated database carries every later statement to all
-- replicas by itself, so no other statement names the cluster.

CREATE DATABASE IF NOT EXISTS masques
/*cluster:ENGINE = Replicated('/clickhouse/databases/masques', '{shard}', '{replica}')*/;

CREATE DATABASE IF NOT EXISTS masques_ops
/*cluster:ENGINE = Replicated('/clickhouse/databases/masques_ops', '{shard}', '{replica}')*/;

CREATE DATABASE IF NOT EXISTS masques_marts
/*cluster:ENGINE = Replicated('/clickhouse/databases/masques_marts', '{shard}', '{replica}')*/;
