"""`masques intake` as people use it."""

import os

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.quarantine import REMEDIES, WHOLE_FILE, Entry, put
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import (
    ndjson,
    request,
)
from tests.support.landing_zone import Zone


def test_the_commands_speak_to_people(
    warehouse: Warehouse,
    zone: Zone,
    engine_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(zone.folder.parent / "home"))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LANDING_URL", str(zone.folder))
    file = zone.drop("api_requests/a.ndjson", ndjson([request(1), request(2, price_usd="dear")]))
    os.utime(file, (1, 1))

    def said(*arguments: str) -> str:
        done = CliRunner().invoke(masques, ["intake", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert "api_requests: 1 files, 2 rows: 1 loaded, 0 duplicates, 1 quarantined" in said("load")
    assert "bad_decimal:price_usd" in said("quarantine", "list", "--table", "api_requests")
    assert "api_requests/a.ndjson:2  bad_decimal:price_usd  (open)" in said("quarantine", "show")
    # What is shown raw can be fixed and delivered.
    raw = said("quarantine", "show", "--reason", "bad_decimal", "--raw")
    fixed = zone.drop("api_requests/fixed.ndjson", raw.replace("dear", "0.5").encode())
    os.utime(fixed, (1, 1))
    assert "1 files, 1 rows: 1 loaded" in said("load", "api_requests")
    assert said("quarantine", "replay") == "tried 1, closed 0, 1 open\n"
    assert said("quarantine", "discard", "--yes", "--reason", "bad_decimal") == "discarded 1\n"
    assert said("quarantine", "list") == "no open entry in quarantine\n"
    assert "(discarded)" in said("quarantine", "show", "--state", "all")

    # Rows that the intake does not load are there too, and a replay tells what to do.
    put(warehouse, "settlements", [Entry("settlement_journal/a.ndjson", 7, "invalid_json", b"{")])
    put(warehouse, "api_requests", [Entry("api_requests/a.csv", WHOLE_FILE, "bad_csv", b"no end")])
    shown = said("quarantine", "show")
    assert "settlements  settlement_journal/a.ndjson:7  invalid_json  (open)\n    {\n" in shown
    assert "api_requests  api_requests/a.csv  bad_csv  (open)\n    no end\n" in shown
    assert said("quarantine", "show", "--raw") == "{\n"
    assert "settlements" in said("quarantine", "list", "--table", "settlements")
    remedy = f"settlements: 1 open, which a replay does not load: {REMEDIES['settlements']}\n"
    assert said("quarantine", "replay") == f"tried 1, closed 0, 1 open\n{remedy}"
    assert said("quarantine", "replay", "--table", "settlements") == remedy
    assert said("quarantine", "discard", "--yes", "--table", "settlements") == "discarded 1\n"


def test_the_help_names_every_table_and_state() -> None:
    text = CliRunner().invoke(masques, ["intake", "quarantine", "list", "--help"]).output
    words = " ".join(text.split())
    assert "[open|replayed|discarded|all]" in words
    assert f"[{'|'.join([*TABLES, *REMEDIES])}]" in words.replace("| ", "|")
