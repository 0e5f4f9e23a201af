"""`masques rails`: what it shows and writes."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.rails.payer_addresses import RegistryError
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import with_stand_ins
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse

ACCOUNT = "00000000-0000-0000-0000-0000000000c8"


@pytest.fixture
def _environment(
    monkeypatch: pytest.MonkeyPatch, engine_settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(masques, ["rails", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("_environment")
def test_status_rewind_and_register(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "base       off: MASQUES_BASE_RPC_URL is not set" in invoke("status")
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    settings = with_stand_ins(read_settings())
    assert "base       on" in invoke("status")  # it installs the sandbox
    stamp_warehouse(warehouse, settings)
    ingest_all(warehouse, settings)
    shown = invoke("status")
    assert "base       on" in shown
    assert "facilitator_contradicted" in shown
    # A cursor of each rail, at the position of its recording.
    assert re.search(r"lightning\W+bip122:\w+\W+\d+\W", shown)

    assert "the next run continues from invoice index 0" in invoke("rewind", "lightning", "0")
    payer = warehouse.scalar(
        "SELECT payer FROM masques_marts.settlements_current "
        "WHERE rail = 'base' AND status = 'confirmed' AND protocol = 'x402' LIMIT 1"
    )
    # Typed with a checksum's capitals, stored as the chain has it.
    typed = "0x" + payer[2:].upper()
    options = ("--rail", "base", "--address", typed, "--account", ACCOUNT)
    invoke("register", *options, "--from", "2020-01-01")
    assert warehouse.rows(
        "SELECT address, toString(account_id) FROM masques_ops.payer_addresses FINAL"
    ) == [(payer, ACCOUNT)]
    with pytest.raises(RegistryError, match="give --to a later time"):
        invoke("register", *options, "--from", "2020-01-01", "--to", "2019-01-01")
    done = ingest_all(warehouse, settings)
    assert done.attributed == 8  # each payment of that address, decided or not
