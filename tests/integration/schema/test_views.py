"""View files: applied together when anything changed, and never by an older checkout.

Most tests have one small view file in the place of the project's nine, which take seconds.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from masques_pipelines.schema import migrations
from masques_pipelines.schema.declared import Declared, declared_schema
from masques_pipelines.schema.files import SqlFile, sql_files, views_checksum
from masques_pipelines.schema.migrations import (
    SCORES_VIEW,
    MigrationError,
    Plan,
    make_plan,
    migrate,
)
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.refreshable import is_refreshing, stopped
from tests.support.filled_tables import contents, fill_tables
from tests.support.patience import until

NUMBERED = [file for file in sql_files() if not file.is_views]
VIEWS = [file for file in sql_files() if file.is_views]
CHART = VIEWS[0]


def declared_for(files: Sequence[SqlFile], *, newer: int) -> Declared:
    """Returns the declared schema for other view files, so many versions newer than the project's.

    What those files hold is not declared.
    """
    declared = declared_schema()
    own = {file.version for file in files if file in sql_files()}
    return replace(
        declared,
        objects={
            name: schema
            for name, schema in declared.objects.items()
            if declared.created_by[name] in own and name != SCORES_VIEW.name
        },
        views_version=declared.views_version + newer,
        views_checksum=views_checksum(files),
    )


def migrated(warehouse: Warehouse, files: Sequence[SqlFile], *, newer: int) -> list[str]:
    return migrate(warehouse, files=files, declared=declared_for(files, newer=newer))


def planned(warehouse: Warehouse, files: Sequence[SqlFile], *, newer: int) -> Plan:
    return make_plan(warehouse, files, declared_for(files, newer=newer))


def with_views_of(files: Sequence[SqlFile]) -> Declared:
    """Returns the project's declared schema for files that differ from its own in comments only."""
    declared = declared_schema()
    return replace(
        declared, views_version=declared.views_version + 1, views_checksum=views_checksum(files)
    )


def edited(file: SqlFile, more: str = "-- edited\n") -> SqlFile:
    return replace(file, text=f"{file.text}\n{more}")


def rates_of(decimals: int) -> list[SqlFile]:
    """Returns two view files: a base view with so many decimals, and a mart above it."""
    return [
        replace(
            CHART,
            text=(
                "CREATE OR REPLACE VIEW masques_ops.test_rates AS SELECT currency, "
                f"CAST(usd AS Decimal(38, {decimals})) AS usd FROM masques_ops.exchange_rates;"
            ),
        ),
        replace(
            VIEWS[-1],
            text=(
                "CREATE OR REPLACE VIEW masques_marts.test_rates AS "
                "SELECT currency, usd FROM masques_ops.test_rates;"
            ),
        ),
    ]


def test_a_mart_above_an_edited_view_gets_its_types(warehouse: Warehouse) -> None:
    mart = "SELECT toString(usd), toTypeName(usd) FROM masques_marts.test_rates"
    warehouse.command(
        "INSERT INTO masques_ops.exchange_rates (currency, quoted_at, usd) "
        "VALUES ('ETH', now64(9), 0.123456789)"
    )
    migrated(warehouse, [*NUMBERED, *rates_of(2)], newer=2)
    assert warehouse.row(mart) == ("0.12", "Decimal(38, 2)")
    # What the engine does by itself: the mart keeps the types of when it was made.
    warehouse.command(rates_of(18)[0].text)
    assert warehouse.row(mart) == ("0.12", "Decimal(38, 2)")

    applied = migrated(warehouse, [*NUMBERED, *rates_of(18)], newer=3)

    assert applied == [CHART.name, VIEWS[-1].name]
    assert warehouse.row(mart) == ("0.123456789", "Decimal(38, 18)")
    migrated(warehouse, [*NUMBERED, *rates_of(2)], newer=4)
    assert warehouse.row(mart) == ("0.12", "Decimal(38, 2)")


def test_an_edited_view_is_applied_with_every_view_and_touches_no_table(
    warehouse: Warehouse,
) -> None:
    fill_tables(warehouse)
    rows, tables = contents(warehouse), stored(warehouse)
    files = [edited(file) if file.version == 93 else file for file in sql_files()]
    declared = with_views_of(files)
    assert [file.name for file in make_plan(warehouse, files, declared).due] == [
        file.name for file in VIEWS
    ]

    assert migrate(warehouse, files=files, declared=declared) == [file.name for file in VIEWS]

    # The scores are computed again, by the views as they are now.
    scores = "masques.reputation_scores"
    assert {**contents(warehouse), scores: rows[scores]} == rows
    assert stored(warehouse) == tables
    assert make_plan(warehouse, files, declared).is_clean
    assert migrate(warehouse, files=files, declared=declared) == []


def stored(warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Returns the id and the last change of definition of each table."""
    return warehouse.rows(
        "SELECT database, name, uuid, metadata_modification_time FROM system.tables "
        "WHERE startsWith(database, 'masques') AND NOT endsWith(engine, 'View') "
        "AND name != 'reputation_scores' ORDER BY 1, 2"  # a refresh swaps this one
    )


def test_an_older_checkout_refuses_and_names_the_version(warehouse: Warehouse) -> None:
    own = declared_schema().views_version
    migrated(warehouse, [*NUMBERED, edited(CHART)], newer=7)

    with pytest.raises(
        MigrationError,
        match=rf"^views version {own + 7}: applied by project version \S+, which is newer "
        rf"than this checkout \(views version {own + 6}\); update the checkout$",
    ):
        migrated(warehouse, [*NUMBERED, CHART], newer=6)
    with pytest.raises(MigrationError, match=rf"^views version {own + 7}: applied"):
        migrate(warehouse)


def test_views_without_a_new_version_are_refused(warehouse: Warehouse) -> None:
    declared = declared_for([*NUMBERED, CHART], newer=2)

    with pytest.raises(
        MigrationError, match=r"schema\.json: was not written from these view files"
    ):
        migrate(warehouse, files=[*NUMBERED, edited(CHART)], declared=declared)


def test_a_numbered_file_applies_every_view_after_it(warehouse: Warehouse) -> None:
    migrated(warehouse, [*NUMBERED, CHART], newer=2)
    change = SqlFile(
        80, "080_nicknames.sql", "ALTER TABLE masques.identities ADD COLUMN nickname String"
    )
    files = [*NUMBERED, change, CHART]
    declared = declared_for(files, newer=2)
    declared = replace(declared, changed_by={**declared.changed_by, "masques.identities": 80})
    objects = dict(declared.objects)
    identities = objects["masques.identities"]
    objects["masques.identities"] = replace(
        identities, columns={**identities.columns, "nickname": "String"}
    )
    declared = replace(declared, objects=objects)

    assert migrate(warehouse, files=files, declared=declared) == [change.name, CHART.name]
    assert make_plan(warehouse, files, declared).is_clean


def test_half_applied_views_are_named_and_applied_again(warehouse: Warehouse) -> None:
    broken = edited(CHART, "CREATE OR REPLACE VIEW masques_ops.broken AS SELECT oops;")
    with pytest.raises(MigrationError, match=r"^090_views_chart\.sql: statement 9: .*oops"):
        migrated(warehouse, [*NUMBERED, broken], newer=2)

    (line,) = planned(warehouse, [*NUMBERED, CHART], newer=2).half_applied
    assert line.startswith("views: was begun at ")
    assert migrated(warehouse, [*NUMBERED, CHART], newer=2) == [CHART.name]
    assert planned(warehouse, [*NUMBERED, CHART], newer=2).is_clean


def test_a_table_with_the_name_of_a_view_is_not_replaced(warehouse: Warehouse) -> None:
    warehouse.command("DROP VIEW masques_ops.chart_ledgers")
    warehouse.command(
        "CREATE TABLE masques_ops.chart_ledgers (x Int8) ENGINE = MergeTree ORDER BY x"
    )
    warehouse.command("INSERT INTO masques_ops.chart_ledgers VALUES (1)")
    files = [edited(file) if file is CHART else file for file in sql_files()]
    declared = with_views_of(files)

    with pytest.raises(
        MigrationError, match=r"masques_ops\.chart_ledgers: engine is MergeTree, declared View"
    ):
        migrate(warehouse, files=files, declared=declared)
    assert warehouse.rows("SELECT x FROM masques_ops.chart_ledgers") == [(1,)]


def test_the_seeds_loop_applies_edited_views_which_are_then_recorded(warehouse: Warehouse) -> None:
    files = [*NUMBERED, *rates_of(2)]
    for _ in range(2):
        for file in files:
            warehouse.client.command(file.text)

    assert migrated(warehouse, files, newer=2) == [CHART.name, VIEWS[-1].name]
    assert planned(warehouse, files, newer=2).is_clean


# A refresh by the view's query of before, which takes a minute and a half in steps of a second.
SLOW_QUERY = """
ALTER TABLE masques.reputation_scores_mv MODIFY QUERY
SELECT generateUUIDv4() AS identity_id, now64(9, 'UTC') AS computed_at, 'old' AS model_version
FROM numbers(90)
WHERE sleepEachRow(1) = 0
SETTINGS max_block_size = 1
"""


def test_no_refresh_by_the_old_query_runs_while_views_are_applied(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.command(
        "INSERT INTO masques.identities (identity_id) "
        "SELECT toUUID(concat('00000000-0000-0000-0000-0000000000', toString(number + 10))) "
        "FROM numbers(90)"
    )
    warehouse.command("INSERT INTO masques.reputation_scores (model_version) VALUES ('older')")
    warehouse.command(SLOW_QUERY)
    warehouse.command("SYSTEM START VIEW masques.reputation_scores_mv")
    # It is due only if nothing refreshed it in this hour.
    warehouse.command("SYSTEM REFRESH VIEW masques.reputation_scores_mv")
    until(lambda: is_refreshing(warehouse, SCORES_VIEW), "the refresh to begin")
    models = (
        "SELECT model_version, count() FROM masques.reputation_scores GROUP BY ALL ORDER BY ALL"
    )
    seen: list[tuple[str, bool, list[tuple[object, ...]]]] = []
    apply = migrations._apply  # noqa: SLF001 - to look at the moment between two statements

    def watched(target: Warehouse, file: SqlFile) -> None:
        seen.append((file.name, is_refreshing(target, SCORES_VIEW), target.rows(models)))
        apply(target, file)

    monkeypatch.setattr(migrations, "_apply", watched)
    *below, scores = VIEWS[:7]  # what the query of the scores reads, and that query

    migrated(warehouse, [*NUMBERED, *below, edited(scores)], newer=2)

    assert seen == [(file.name, False, [("older", 1)]) for file in VIEWS[:7]]
    assert not is_refreshing(warehouse, SCORES_VIEW)
    assert warehouse.rows(models) == [("price-3", 90)]


def test_a_stopped_view_is_started_again_on_a_server_only(warehouse: Warehouse) -> None:
    status = "SELECT status = 'Disabled' FROM system.view_refreshes WHERE database = 'masques'"
    with stopped(warehouse, SCORES_VIEW):
        assert warehouse.scalar(status) == 1
    assert warehouse.scalar(status) == 1

    with stopped(replace(warehouse, is_server=True, inserts_folder=None), SCORES_VIEW):
        assert warehouse.scalar(status) == 1
    assert warehouse.scalar(status) == 0
    warehouse.command("SYSTEM STOP VIEW masques.reputation_scores_mv")
