"""`masques rails`: what it shows and writes."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.rails.payer_addresses import RegistryError
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import prepare_sources, with_stand_ins
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
    assert "base       on" in invoke("status")
    prepare_sources(settings)
    stamp_warehouse(warehouse, settings)
    ingest_all(warehouse, settings)
    shown = invoke("status")
    assert "base       on" in shown
    assert "facilitator_contradicted" in shown
    # Where each rail stands, and that its run was just now.
    assert re.search(
        r"lightning  on \(bip122:\w+\)\n  read to invoice index \d+, head \d+, 0 behind\n(.*\n)?"
        r"  last run: read, \d+ (s|min) ago\n",
        shown,
    ), shown
    assert "last error" not in shown

    assert "the next run continues from invoice index 0" in invoke("rewind", "lightning", "0")
    payer, payments = warehouse.row(
        "SELECT payer, count() FROM masques_marts.settlements_current "
        "WHERE rail = 'base' AND protocol = 'x402' AND direction = 'in' AND payer != '' "
        "GROUP BY payer ORDER BY count() DESC, payer LIMIT 1"
    )
    # Typed with a checksum's capitals, stored as the chain has it.
    typed = "0x" + payer[2:].upper()
    options = ("--rail", "base", "--address", typed, "--account", ACCOUNT)
    invoke("register", *options, "--from", "2020-01-01")
    assert warehouse.rows(
        "SELECT address, toString(account_id) FROM masques_ops.payer_addresses FINAL"
    ) == [(payer, ACCOUNT)]
    invoke("register", *options, "--from", "2020-01-01", "--network", "polygon")
    assert warehouse.rows(
        "SELECT network FROM masques_ops.payer_addresses FINAL ORDER BY network"
    ) == [("",), ("eip155:137",)]
    with pytest.raises(RegistryError, match="give --to a later time"):
        invoke("register", *options, "--from", "2020-01-01", "--to", "2019-01-01")
    done = ingest_all(warehouse, settings)
    assert done.attributed == payments > 1  # each payment of that address, decided or not


@pytest.mark.usefixtures("_environment")
def test_check_says_what_is_wrong_before_the_first_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("masques_pipelines.rails.node.PAUSE_FIRST_S", 0.001)
    monkeypatch.setenv("MASQUES_BASE_RPC_URL", "http://127.0.0.1:9/v2/a-CANARY-key")
    monkeypatch.setenv("MASQUES_BASE_TREASURY", "0x" + "ab" * 20)
    monkeypatch.setenv("MASQUES_LANDING_URL", str(tmp_path))
    (tmp_path / "settlement_journal").mkdir()
    (tmp_path / "settlement_journal" / "gate.ndjson").write_text("no json\n")
    result = CliRunner().invoke(masques, ["rails", "check"])
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line[:1] in "bjsl"]
    journal, base, solana, lightning = lines
    assert journal.startswith("journal    good: ")
    assert journal.endswith("; 1 would go to quarantine: 1 invalid_json:line")
    assert base.startswith("base       FAILED: http://127.0.0.1:9: no answer (ConnectError)")
    assert solana == "solana     off: MASQUES_SOLANA_RPC_URL is not set"
    assert lightning == "lightning  off: MASQUES_LND_URL is not set"
    assert "CANARY" not in result.output
    assert not (tmp_path / "warehouse").exists()  # nothing was stored


@pytest.mark.usefixtures("_environment")
def test_the_last_error_stays_with_its_age(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.rails.node.PAUSE_FIRST_S", 0.001)
    monkeypatch.setenv("MASQUES_BASE_RPC_URL", "http://127.0.0.1:9/v2/a-CANARY-key")
    monkeypatch.setenv("MASQUES_BASE_TREASURY", "0x" + "ab" * 20)
    ingest_all(warehouse, read_settings())
    shown = invoke("status")
    assert re.search(
        r"base       on \(eip155:8453\)\n  last run: failed, \d+ (s|min) ago\n"
        r"  last error, \d+ (s|min) ago: http://127.0.0.1:9: no answer ",
        shown,
    ), shown
    assert "CANARY" not in shown


@pytest.mark.usefixtures("_environment")
def test_check_is_the_first_command_of_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of production, whose landing zone nobody made, and of the sandbox, which nobody installed."""
    assert f"journal    good: {tmp_path}/landing/settlement_journal" in invoke("check")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", "")
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path / "another"))
    shown = invoke("check")
    for rail in ("base", "solana", "lightning"):
        assert f"{rail:10} good: " in shown
