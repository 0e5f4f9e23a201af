"""Migrations on the real engine: fresh, again, half-done, tampered with, and by the seed's loop."""

import json
from dataclasses import replace

import pytest

from masques_pipelines.schema.migrations import (
    MigrationError,
    MigrationFile,
    make_plan,
    migrate,
    migration_files,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import cluster_form, split_statements, sql_directory
from tests.support.schema_snapshot import declared_by_files

# The seed's verification listing.
NINE_OBJECTS = [
    ("accounts", "ReplacingMergeTree"),
    ("api_requests", "MergeTree"),
    ("identities", "ReplacingMergeTree"),
    ("masque_sessions", "MergeTree"),
    ("reputation_events", "MergeTree"),
    ("reputation_scores", "ReplacingMergeTree"),
    ("reputation_scores_mv", "MaterializedView"),
    ("settlements", "MergeTree"),
    ("transactions", "MergeTree"),
]


def listing(warehouse: Warehouse) -> list[tuple[str, str]]:
    rows = warehouse.rows(
        "SELECT name, engine FROM system.tables WHERE database = 'masques' ORDER BY name"
    )
    return [(str(name), str(engine)) for name, engine in rows]


def test_a_fresh_warehouse_gets_exactly_the_nine_objects(empty_warehouse: Warehouse) -> None:
    applied = migrate(empty_warehouse)

    assert applied == [file.name for file in migration_files()]
    assert listing(empty_warehouse) == NINE_OBJECTS


def test_a_second_run_applies_nothing_and_finds_nothing(warehouse: Warehouse) -> None:
    assert migrate(warehouse) == []
    assert make_plan(warehouse).is_clean


def test_the_first_six_files_make_the_nine_objects_alone(empty_warehouse: Warehouse) -> None:
    for file in migration_files():
        if file.version <= 6:
            empty_warehouse.client.command(file.text)
    assert listing(empty_warehouse) == NINE_OBJECTS


def test_the_seeds_loop_works_file_by_file_again_and_again(empty_warehouse: Warehouse) -> None:
    # The embedded engine takes a whole file at once, as clickhouse-client --multiquery does.
    for _ in range(2):
        for file in migration_files():
            empty_warehouse.client.command(file.text)
    assert listing(empty_warehouse) == NINE_OBJECTS

    # What the loop made is adopted: the files are recorded, the tables are left as they are.
    empty_warehouse.insert_rows("masques.accounts", ["account_id"], [[1]])
    assert migrate(empty_warehouse) == [file.name for file in migration_files()]
    assert empty_warehouse.scalar("SELECT count() FROM masques.accounts") == 1
    assert make_plan(empty_warehouse).is_clean


def test_an_object_of_another_hand_is_not_adopted_when_it_differs(
    empty_warehouse: Warehouse,
) -> None:
    empty_warehouse.command("CREATE DATABASE masques")
    empty_warehouse.command(
        "CREATE TABLE masques.identities (identity_id UInt64) ENGINE = MergeTree ORDER BY ()"
    )
    with pytest.raises(MigrationError, match=r"masques\.identities: column identity_id is UInt64"):
        migrate(empty_warehouse)
    assert listing(empty_warehouse) == [("identities", "MergeTree")]


def test_the_declared_schema_is_what_the_files_make(empty_warehouse: Warehouse) -> None:
    declared = (sql_directory() / "schema.json").read_text(encoding="utf-8")
    assert json.loads(declared) == json.loads(declared_by_files(empty_warehouse)), (
        "run `make schema` after changing a migration"
    )


def edited(file: MigrationFile) -> MigrationFile:
    return replace(file, text=file.text + "\n-- edited\n")


def test_an_edited_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [edited(file) if file.version == 3 else file for file in migration_files()]

    with pytest.raises(MigrationError, match=r"^003_ledger\.sql: was edited after it was applied"):
        migrate(warehouse, files=files)


def test_a_missing_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [file for file in migration_files() if file.version != 4]

    with pytest.raises(MigrationError, match=r"^004_settlements\.sql: applied at .* but missing"):
        migrate(warehouse, files=files)


def test_a_renamed_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [
        replace(file, name="005_other.sql") if file.version == 5 else file
        for file in migration_files()
    ]
    with pytest.raises(MigrationError, match=r"005_other\.sql: number 5 was applied as 005_meter"):
        migrate(warehouse, files=files)


def test_a_version_of_a_newer_project_is_refused_by_name(warehouse: Warehouse) -> None:
    warehouse.command(
        "INSERT INTO masques_ops.schema_migrations "
        "VALUES (999, '999_later.sql', 'x', 'applied', '9.9.9', now64(6))"
    )
    with pytest.raises(MigrationError, match=r"999_later\.sql: applied by project version 9\.9\.9"):
        migrate(warehouse)


def test_a_half_applied_file_is_named_and_applied_again(empty_warehouse: Warehouse) -> None:
    files = migration_files()
    broken = replace(files[2], text=files[2].text + "\nCREATE TABLE masques.broken (x Oops);")
    with pytest.raises(MigrationError, match=r"003_ledger\.sql: statement 3: .*Oops"):
        migrate(empty_warehouse, files=[*files[:2], broken, *files[3:]])
    lines: list[str] = []

    assert make_plan(empty_warehouse).half_applied[0].startswith("003_ledger.sql: was begun at")
    assert migrate(empty_warehouse, report=lines.append) == [file.name for file in files[2:]]
    assert lines[0].startswith("003_ledger.sql: was begun at")
    assert make_plan(empty_warehouse).is_clean


def test_a_statement_that_fails_is_named_with_its_file(empty_warehouse: Warehouse) -> None:
    files = migration_files()
    with pytest.raises(MigrationError, match=r"^002_identities\.sql: statement 1: .*SELEC"):
        migrate(empty_warehouse, files=[files[0], replace(files[1], text="SELEC 1;"), *files[2:]])


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "ALTER TABLE masques.accounts MODIFY COLUMN flags UInt32",
            "masques.accounts: column flags is UInt32, declared UInt16",
        ),
        (
            "ALTER TABLE masques.accounts ADD COLUMN mine String",
            "masques.accounts: column mine is not declared",
        ),
        (
            "ALTER TABLE masques.transactions DROP COLUMN attributes",
            "masques.transactions: column attributes is missing",
        ),
        (
            "ALTER TABLE masques.transactions MODIFY TTL toDate(timestamp) + INTERVAL 1 YEAR",
            (
                "masques.transactions: retention (TTL) is toDate(timestamp) + toIntervalYear(1), "
                "declared toDate(timestamp) + toIntervalYear(7)"
            ),
        ),
        (
            "ALTER TABLE masques.transactions DROP INDEX trace_id_bloom",
            "masques.transactions: index trace_id_bloom is missing",
        ),
        (
            "ALTER TABLE masques.transactions MODIFY SETTING fsync_after_insert = 0",
            (
                "masques.transactions: settings is fsync_after_insert = 0, "
                "fsync_part_directory = 1, min_bytes_for_wide_part = 67108864, "
                "declared fsync_after_insert = 1, fsync_part_directory = 1, "
                "min_bytes_for_wide_part = 67108864"
            ),
        ),
        ("DROP TABLE masques.identities", "masques.identities: is missing"),
        (
            (
                "CREATE OR REPLACE VIEW masques_ops.chart_ledgers AS "
                "SELECT toUInt32(1) AS ledger, 'USD' AS asset, toUInt8(2) AS scale"
            ),
            "masques_ops.chart_ledgers: selects something else than declared",
        ),
    ],
)
def test_drift_of_a_live_object_is_found_and_named(
    warehouse: Warehouse, statement: str, finding: str
) -> None:
    warehouse.command(statement)

    assert list(make_plan(warehouse).drift) == [finding]
    with pytest.raises(MigrationError, match="the live schema differs from its definition"):
        migrate(warehouse)


def test_tables_of_other_people_beside_ours_are_left_alone(warehouse: Warehouse) -> None:
    warehouse.command("CREATE TABLE masques_marts.mine (x Int8) ENGINE = MergeTree ORDER BY x")
    assert make_plan(warehouse).is_clean


@pytest.mark.parametrize("file", migration_files(), ids=lambda file: str(file.name))
def test_the_engine_parses_the_cluster_form(
    empty_warehouse: Warehouse, file: MigrationFile
) -> None:
    for statement in split_statements(cluster_form(file.text)):
        assert "/*" not in statement
        tree = empty_warehouse.client.command(f"EXPLAIN AST {statement}")
        assert str(tree).startswith(("Create", "Alter", "Insert", "Drop", "Rename"))


def test_the_cluster_form_replicates_every_stored_table() -> None:
    for file in migration_files():
        for statement in file.statements(cluster=True):
            if "MergeTree" in statement.split("ORDER BY")[0] and statement.startswith("CREATE T"):
                assert "ENGINE = Replicated" in statement
            if statement.startswith("CREATE DATABASE"):
                assert "ENGINE = Replicated('/clickhouse/databases/" in statement
            assert "ON CLUSTER" not in statement.upper()


def test_refreshable_views_do_not_run_when_the_embedded_engine_opens(
    warehouse: Warehouse,
) -> None:
    status = warehouse.scalar(
        "SELECT status FROM system.view_refreshes WHERE view = 'reputation_scores_mv'"
    )
    # Made in this process it waits for its hour; what matters is that it has not run.
    assert status != "Running"
    assert warehouse.scalar("SELECT count() FROM masques.reputation_scores") == 0


def test_a_cluster_that_the_server_does_not_know_is_refused(empty_warehouse: Warehouse) -> None:
    with pytest.raises(MigrationError, match="the server knows no cluster 'main', only"):
        migrate(replace(empty_warehouse, cluster="main"))
    assert listing(empty_warehouse) == []


def test_databases_of_a_single_server_are_not_taken_for_a_cluster(warehouse: Warehouse) -> None:
    # CREATE DATABASE IF NOT EXISTS would pass them by, and nothing would be replicated.
    refusals = make_plan(replace(warehouse, cluster="main")).refusals
    assert refusals[0].startswith("masques: is a database of engine Atomic, which carries nothing")
