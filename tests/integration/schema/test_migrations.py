"""Migrations on the real engine: fresh, again, half-done, edited, and by the seed's loop."""

import logging
import math
from dataclasses import replace

import pytest

from masques_pipelines.schema.declared import declared_schema, live_schema
from masques_pipelines.schema.files import EARLIER, SqlFile, sql_files
from masques_pipelines.schema.migrations import (
    SCORES_VIEW,
    MigrationError,
    make_plan,
    migrate,
)
from masques_pipelines.schema.snapshot import declared_by_files
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.refreshable import refresh_and_wait
from masques_pipelines.warehouse.sql import cluster_form, split_statements
from tests.support.filled_tables import contents, fill_tables

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

    assert applied == [file.name for file in sql_files()]
    assert listing(empty_warehouse) == NINE_OBJECTS


def test_a_second_run_applies_nothing_and_finds_nothing(warehouse: Warehouse) -> None:
    assert migrate(warehouse) == []
    assert make_plan(warehouse).is_clean


def test_the_first_six_files_make_the_nine_objects_and_score(empty_warehouse: Warehouse) -> None:
    for file in sql_files():
        if file.version <= 6:
            empty_warehouse.client.command(file.text)
    assert listing(empty_warehouse) == NINE_OBJECTS

    # Five good events of one counterparty now, one of them twice, and a bad one of another.
    empty_warehouse.command(
        "INSERT INTO masques.reputation_events (event_id, timestamp, identity_id, category, "
        "score_delta, confidence, attributes) SELECT toUUID(concat('00000000-0000-0000-0000-"
        "00000000000', toString(number % 6))), now64(9, 'UTC'), toUUID('00000000-0000-0000-0000-"
        "0000000000aa'), 'economic', if(number % 6 = 5, -1, 1), 1, "
        "map('counterparty_id', if(number % 6 = 5, 'b', 'a')) FROM numbers(7)"
    )
    refresh_and_wait(empty_warehouse, SCORES_VIEW)
    # 5 x 0.2 and 0.2 of evidence stay below the cap of 1 for each counterparty.
    score = (1.0 + 10 * 0.5) / (1.2 + 10)
    prior_variance = 0.25 / 11
    variance = prior_variance * (0.4**2 + 0.35**2 + 0.25**2) + 0.35**2 * (
        score * (1 - score) / 12.2 - prior_variance
    )
    overall = 0.5 + 0.35 * (score - 0.5)
    (row,) = empty_warehouse.rows(
        "SELECT overall_score, task_quality_score, economic_score, identity_hygiene_score, "
        "confidence, score_lower, effective_events, score_7d_ago, total_events, positive_events, "
        "negative_events, excluded_events, model_version FROM masques.reputation_scores"
    )
    expected = (overall, 0.5, score, 0.5, 0.35 * 1.2 / 11.2, overall - 1.645 * math.sqrt(variance))
    assert row[:8] == pytest.approx((*expected, 1.2, 0.5), abs=1e-5)
    assert row[8:] == (6, 5, 1, 0, "events-1")


def test_the_seeds_loop_works_file_by_file_again_and_again(empty_warehouse: Warehouse) -> None:
    # The embedded engine takes a whole file at once, as clickhouse-client --multiquery does.
    for _ in range(2):
        for file in sql_files():
            empty_warehouse.client.command(file.text)
    assert listing(empty_warehouse) == NINE_OBJECTS

    # What the loop made is adopted: the files are recorded, the tables are left as they are.
    empty_warehouse.insert_rows("masques.accounts", ["account_id"], [[1]])
    assert migrate(empty_warehouse) == [file.name for file in sql_files()]
    assert empty_warehouse.scalar("SELECT count() FROM masques.accounts") == 1
    assert make_plan(empty_warehouse).is_clean


def test_the_seeds_loop_changes_no_row_and_no_definition_of_a_filled_warehouse(
    warehouse: Warehouse,
) -> None:
    fill_tables(warehouse)
    schema, rows = live_schema(warehouse), contents(warehouse)

    for file in sql_files():
        warehouse.client.command(file.text)

    assert live_schema(warehouse) == schema
    assert contents(warehouse) == rows
    assert make_plan(warehouse).is_clean


def test_an_object_of_another_hand_is_not_adopted_when_it_differs(
    empty_warehouse: Warehouse,
) -> None:
    empty_warehouse.command("CREATE DATABASE masques")
    empty_warehouse.command(
        "CREATE TABLE masques.accounts (account_id UInt64) ENGINE = MergeTree ORDER BY ()"
    )
    with pytest.raises(MigrationError, match=r"masques\.accounts: column identity_id is"):
        migrate(empty_warehouse)
    assert listing(empty_warehouse) == [("accounts", "MergeTree")]


def test_the_declared_schema_is_what_the_files_make(empty_warehouse: Warehouse) -> None:
    declared = declared_schema()
    assert declared_by_files(empty_warehouse, sql_files(), before=declared) == declared, (
        "run `make schema` after adding a numbered file or editing a view"
    )


def test_a_warehouse_of_the_first_files_is_refused(empty_warehouse: Warehouse) -> None:
    empty_warehouse.command("CREATE DATABASE masques_ops")
    empty_warehouse.command("CREATE TABLE masques_ops.accounts_inlet (id UInt128) ENGINE = Null")

    with pytest.raises(MigrationError, match=r"^chdb://\S+: this warehouse was made by files that"):
        migrate(empty_warehouse)
    assert listing(empty_warehouse) == []


def edited(file: SqlFile) -> SqlFile:
    return replace(file, text=file.text + "\n-- edited\n")


def test_a_warehouse_that_an_earlier_text_made_is_up_to_date(warehouse: Warehouse) -> None:
    # A file whose statement failed on some clusters, and makes the same as before elsewhere.
    for name, checksum in EARLIER.items():
        warehouse.command(
            "INSERT INTO masques_ops.schema_migrations SELECT * REPLACE "
            "({checksum:String} AS checksum, now64(6) AS recorded_at) "
            "FROM masques_ops.schema_migrations WHERE name = {name:String} AND state = 'applied'",
            {"name": name, "checksum": checksum},
        )
    assert make_plan(warehouse).is_clean


def test_an_edited_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [edited(file) if file.version == 3 else file for file in sql_files()]

    with pytest.raises(MigrationError, match=r"^003_ledger\.sql: was edited after it was applied"):
        migrate(warehouse, files=files)


def test_a_missing_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [file for file in sql_files() if file.version != 4]

    with pytest.raises(MigrationError, match=r"^004_settlements\.sql: applied at .* but missing"):
        migrate(warehouse, files=files)


def test_a_renamed_file_is_refused_by_name(warehouse: Warehouse) -> None:
    files = [
        replace(file, name="005_other.sql") if file.version == 5 else file for file in sql_files()
    ]
    with pytest.raises(MigrationError, match=r"005_other\.sql: number 5 was applied as 005_meter"):
        migrate(warehouse, files=files)


def test_a_version_of_a_newer_project_is_refused_by_name(warehouse: Warehouse) -> None:
    warehouse.command(
        "INSERT INTO masques_ops.schema_migrations "
        "VALUES (80, '080_later.sql', 'x', 'applied', '9.9.9', 0, now64(6))"
    )
    # The view files have higher numbers; they do not make this checkout a newer one.
    with pytest.raises(MigrationError, match=r"080_later\.sql: applied by project version 9\.9\.9"):
        migrate(warehouse)


def test_a_half_applied_file_is_named_and_applied_again(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    numbered = [file for file in sql_files() if not file.is_views]
    views = [file for file in sql_files() if file.is_views]
    first, broken = SqlFile(80, "080_a.sql", "SELECT 1;"), SqlFile(81, "081_b.sql", "SELECT Oops;")
    with pytest.raises(MigrationError, match=r"081_b\.sql: statement 1: .*Oops"):
        migrate(warehouse, files=[*numbered, first, broken, *views])

    corrected = [*numbered, first, replace(broken, text="SELECT 2;"), *views]
    assert make_plan(warehouse, corrected).half_applied[0].startswith("081_b.sql: was begun at")
    with caplog.at_level(logging.INFO, logger="masques_pipelines"):
        assert migrate(warehouse, files=corrected)[0] == "081_b.sql"
    assert caplog.messages[0].startswith("081_b.sql: was begun at")
    assert caplog.messages[1] == "applying 081_b.sql"
    assert make_plan(warehouse, corrected).is_clean


def test_a_new_warehouse_whose_migration_failed_is_migrated_from_the_start(
    empty_warehouse: Warehouse,
) -> None:
    files = sql_files()
    broken = replace(files[2], text=files[2].text + "\nCREATE TABLE masques.broken (x Oops);")
    with pytest.raises(MigrationError, match=r"003_ledger\.sql: statement 3: .*Oops"):
        migrate(empty_warehouse, files=[*files[:2], broken, *files[3:]])

    assert migrate(empty_warehouse) == [file.name for file in files]
    assert make_plan(empty_warehouse).is_clean


def test_a_statement_that_fails_is_named_with_its_file(empty_warehouse: Warehouse) -> None:
    files = sql_files()
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
                "SELECT toUInt32(1) AS ledger, 'USD' AS asset, toUInt8(2) AS scale, "
                "['USDC'] AS rail_assets, toUInt16(1) AS hold_days_max"
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


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: str(file.name))
def test_the_engine_parses_the_cluster_form(empty_warehouse: Warehouse, file: SqlFile) -> None:
    for statement in split_statements(cluster_form(file.text)):
        assert "/*" not in statement
        tree = empty_warehouse.client.command(f"EXPLAIN AST {statement}")
        assert str(tree).startswith(("Create", "Alter", "Insert", "Drop", "Rename"))


def test_the_cluster_form_replicates_every_stored_table() -> None:
    for file in sql_files():
        for statement in file.statements(cluster=True):
            if "MergeTree" in statement.split("ORDER BY")[0] and statement.startswith("CREATE T"):
                assert "ENGINE = Replicated" in statement
            if statement.startswith("CREATE TABLE"):
                # Without one, AS takes over the other table's, its path in the keeper included.
                assert " ENGINE = " in " ".join(statement.split()), statement[:80]
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
