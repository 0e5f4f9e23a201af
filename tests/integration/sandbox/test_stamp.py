"""The stamp: a warehouse of the sandbox refuses production, and the reverse."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.sandbox.stamp import StampError, check_stamp, stamp_warehouse
from masques_pipelines.sandbox.stand_ins import with_stand_ins
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.fresh_schema import drop_schema

TIGERBEETLE = "tigerbeetle://10.0.0.1:3000/?cluster_id=7"
STAMPS = "SELECT kind, ledger FROM masques_ops.warehouse_stamp ORDER BY stamped_at"


@pytest.fixture
def sandbox(engine_settings: Settings, tmp_path: Path) -> Settings:
    return with_stand_ins(
        read_settings(
            {
                "MASQUES_HOME": str(tmp_path),
                "MASQUES_SANDBOX": "1",
                "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
            }
        )
    )


@pytest.fixture
def production(engine_settings: Settings, tmp_path: Path) -> Settings:
    return with_stand_ins(
        read_settings(
            {
                "MASQUES_HOME": str(tmp_path),
                "MASQUES_LEDGER_URL": TIGERBEETLE,
                "MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url,
            }
        )
    )


def refusal(warehouse: Warehouse, settings: Settings) -> str:
    with pytest.raises(StampError) as checked:
        check_stamp(warehouse, settings)
    with pytest.raises(StampError) as stamped:
        stamp_warehouse(warehouse, settings)
    assert str(stamped.value) == str(checked.value)
    assert "\n" not in str(checked.value)
    return str(checked.value)


def test_a_warehouse_of_the_sandbox_refuses_production(
    warehouse: Warehouse, sandbox: Settings, production: Settings
) -> None:
    stamp_warehouse(warehouse, sandbox)
    stamp_warehouse(warehouse, sandbox)
    check_stamp(warehouse, sandbox)
    line = refusal(warehouse, production)
    assert line.startswith(f"{warehouse.description} is stamped sandbox since 20")
    assert "these settings are of production" in line
    assert warehouse.rows(STAMPS) == [("sandbox", "")]


def test_a_warehouse_of_production_refuses_the_sandbox(
    warehouse: Warehouse, sandbox: Settings, production: Settings
) -> None:
    stamp_warehouse(warehouse, production)
    stamp_warehouse(warehouse, production)
    line = refusal(warehouse, sandbox)
    assert "is stamped as the copy of tigerbeetle cluster 7 since 20" in line
    assert "these settings are of the sandbox" in line
    assert warehouse.rows(STAMPS) == [("production", "tigerbeetle cluster 7")]


def test_the_sandbox_does_not_fill_a_warehouse_with_rows_that_nobody_stamped(
    warehouse: Warehouse, sandbox: Settings, production: Settings
) -> None:
    warehouse.command("INSERT INTO masques.identities (identity_id) VALUES (generateUUIDv4())")
    assert "is not stamped, and masques.identities has rows" in refusal(warehouse, sandbox)
    stamp_warehouse(warehouse, production)  # filled by hand, or by the seed's loop
    assert warehouse.rows(STAMPS) == [("production", "tigerbeetle cluster 7")]


def test_a_ledger_that_is_configured_later_is_added(
    warehouse: Warehouse, engine_settings: Settings, production: Settings
) -> None:
    alone = with_stand_ins(
        read_settings({"MASQUES_CLICKHOUSE_URL": engine_settings.clickhouse_url})
    )
    for settings in (alone, production, alone):
        stamp_warehouse(warehouse, settings)
    assert warehouse.rows(STAMPS) == [("production", ""), ("production", "tigerbeetle cluster 7")]


def test_nothing_is_written_without_the_schema(
    empty_warehouse: Warehouse, sandbox: Settings, production: Settings
) -> None:
    for settings in (sandbox, production):
        check_stamp(empty_warehouse, settings)
        stamp_warehouse(empty_warehouse, settings)
    assert (
        empty_warehouse.scalar("SELECT count() FROM system.databases WHERE name = 'masques'") == 0
    )


def test_of_two_that_stamp_at_once_the_second_is_refused(
    warehouse: Warehouse, sandbox: Settings, production: Settings
) -> None:
    command = Warehouse.command

    def after_the_other(self: Warehouse, *arguments: Any) -> None:
        with patch.object(Warehouse, "command", command):
            stamp_warehouse(warehouse, production)
        command(self, *arguments)

    with (
        patch.object(Warehouse, "command", after_the_other),
        pytest.raises(StampError, match="is stamped as the copy of tigerbeetle cluster 7"),
    ):
        stamp_warehouse(warehouse, sandbox)
    assert warehouse.rows(STAMPS) == [("production", "tigerbeetle cluster 7")]


# One that reads and one that writes; migrate stamps what it makes.
@pytest.mark.parametrize("arguments", [["sql", "SELECT 1"], ["rails", "rewind", "base", "0"]])
def test_a_command_refuses_the_other_kind(
    warehouse: Warehouse,
    sandbox: Settings,
    engine_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    stamp_warehouse(warehouse, sandbox)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    done = CliRunner().invoke(masques, arguments)
    assert isinstance(done.exception, StampError)
    assert (tmp_path / "production").is_file()  # before the first open


def test_migrate_stamps_what_it_makes(
    empty_warehouse: Warehouse,
    engine_settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    done = CliRunner().invoke(masques, ["migrate"], catch_exceptions=False)
    assert done.output.startswith("this is the sandbox, as the settings ask: demo data in ")
    assert empty_warehouse.rows(STAMPS) == [("sandbox", "")]
    drop_schema(empty_warehouse)
