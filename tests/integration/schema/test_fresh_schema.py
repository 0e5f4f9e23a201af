"""Whatever a test did to the warehouse, the next one gets the whole schema without its rows."""

from masques_pipelines.schema.migrations import make_plan
from masques_pipelines.warehouse.client import Warehouse
from tests.support.fresh_schema import fresh_schema

MODELS = "SELECT * FROM masques_ops.reputation_model_versions ORDER BY ALL"


def test_rows_seeds_and_tables_that_were_added_are_put_right(warehouse: Warehouse) -> None:
    models = warehouse.rows(MODELS)
    warehouse.command("TRUNCATE TABLE masques_ops.reputation_model_versions")
    warehouse.command("CREATE TABLE masques_ops.left_behind (a UInt8) ENGINE = Memory")
    warehouse.command("INSERT INTO masques.api_requests (request_id) VALUES (generateUUIDv4())")

    fresh_schema(warehouse)

    assert models
    assert warehouse.rows(MODELS) == models
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 0
    assert warehouse.scalar("EXISTS masques_ops.left_behind") == 0


def test_a_schema_that_was_changed_is_made_again(warehouse: Warehouse) -> None:
    warehouse.command("ALTER TABLE masques.api_requests COMMENT COLUMN endpoint 'else'")
    fresh_schema(warehouse)
    assert make_plan(warehouse).is_clean
    warehouse.command("CREATE VIEW masques_marts.left_behind AS SELECT 1 AS one")
    fresh_schema(warehouse)
    assert make_plan(warehouse).is_clean


def test_tables_views_and_the_record_that_were_changed_are_made_again(warehouse: Warehouse) -> None:
    record = "SELECT * FROM masques_ops.schema_migrations ORDER BY ALL"
    recorded = warehouse.rows(record)
    warehouse.command("DROP TABLE masques.identities SYNC")
    warehouse.command("ALTER TABLE masques.transactions DROP COLUMN flags")
    warehouse.command("DROP VIEW masques_marts.holds_open")
    warehouse.command("CREATE OR REPLACE VIEW masques_ops.account_owners AS SELECT 1 AS one")
    warehouse.command("TRUNCATE TABLE masques_ops.schema_migrations")
    for _ in range(2):  # a second time at once: the engine's clock has not gone on
        fresh_schema(warehouse)
        assert make_plan(warehouse).is_clean
        assert warehouse.rows(record) == recorded
        warehouse.command("ALTER TABLE masques.identities COMMENT COLUMN status 'else'")
    warehouse.command("DROP TABLE masques.reputation_scores_mv SYNC")
    fresh_schema(warehouse)
    assert make_plan(warehouse).is_clean
