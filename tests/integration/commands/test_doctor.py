"""`masques doctor` names what is wrong and exits with 1; `masques status` says it in some lines."""

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from masques_pipelines.alerts.book import Book, Open, write_book
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.cli import masques
from masques_pipelines.doctor import around
from masques_pipelines.doctor.clocks import clock_finding
from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

FAULT = Fault("a", "error", "a is red", "why", "payments", "freshness", "runs/1")


@pytest.fixture
def home(
    monkeypatch: pytest.MonkeyPatch,
    warehouse: Warehouse,
    engine_settings: Settings,
    small_capture: Path,
    tmp_path: Path,
) -> Path:
    """A home of production on the test process's warehouse, whose daemon looked just now."""
    del warehouse
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_LEDGER_URL", f"capture://{small_capture}")
    (tmp_path / "dagster").mkdir()
    write_book(tmp_path / "dagster", Book(looked_at=datetime.now(UTC)))
    return tmp_path


def invoked(*arguments: str) -> Result:
    result = CliRunner().invoke(masques, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def findings() -> tuple[dict[str, dict[str, Any]], int]:
    result = invoked("doctor", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {each["name"]: each for each in found}, result.exit_code


def bad(found: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name, each in found.items() if each["level"] == "bad"]


def test_each_fault_is_named_with_what_to_do(
    home: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, status = findings()
    assert (bad(found), status) == ([], 0)
    assert found["settings"]["text"].startswith("production: ledger")
    assert found["ledger"]["text"].startswith("cluster ")
    assert found["rail base"]["level"] == "off"
    assert found["rights"]["level"] == found["schema"]["level"] == "good"

    monkeypatch.setattr(around, "DISK_SHARE_MIN", 1.0)
    monkeypatch.setenv("MASQUES_LEDGER_URL", "capture:///nowhere")
    monkeypatch.setenv("MASQUES_LND_URL", "http://127.0.0.1:9")
    shutil.rmtree(home / "landing")
    (home / "landing").write_text("")  # so that it is not made again
    rules = home / "alerts.yaml"
    rules.write_text("to: [{url: 'nothing://x'}]\n")
    monkeypatch.setenv("MASQUES_ALERTS_FILE", str(rules))
    then = datetime.now(UTC) - timedelta(minutes=9)
    write_book(home / "dagster", Book({"a": Open(FAULT, then)}, looked_at=then))
    warehouse.command("ALTER TABLE masques.accounts DROP COLUMN flags")
    found, status = findings()
    assert status == 1
    assert set(bad(found)) == {
        *("disk", "ledger", "rail lightning", "landing zone", "receiver 1"),
        *("daemon", "fault", "schema"),
    }
    assert found["schema"]["text"] == "masques.accounts: column flags is missing"
    assert found["fault"]["text"].startswith("a is red, since ")
    assert found["ledger"]["text"].startswith("/nowhere: there is no such folder")
    assert all(found[name]["what_to_do"] or "/" in found[name]["text"] for name in bad(found))


def test_a_home_that_takes_no_file_is_a_finding(home: Path) -> None:
    shutil.rmtree(home / "dagster")
    (home / "dagster").write_text("")
    found, status = findings()
    assert (found["alert book"]["level"], status) == ("bad", 1)
    assert found["alert book"]["text"].endswith("dagster: Not a directory")


def test_a_warehouse_that_is_down_is_a_finding_and_the_rest_is_looked_at(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", "http://127.0.0.1:9")
    found, status = findings()
    assert (bad(found), status) == (["warehouse"], 1)
    assert "cannot connect" in found["warehouse"]["text"]
    assert found["ledger"]["level"] == "good"


def test_numbers_are_written_for_prometheus(home: Path) -> None:
    file = home / "masques.prom"
    assert invoked("doctor", "--textfile", str(file)).exit_code == 0
    lines = file.read_text().splitlines()
    assert 'masques_findings{level="bad"} 0.0' in lines
    assert 'masques_waiting{kind="quarantined"} 0.0' in lines
    assert any(line.startswith('masques_table_rows{table="masques_ops.') for line in lines)


@pytest.mark.parametrize(
    ("theirs", "level", "said"),
    [
        (1_000.0, "good", "its clock differs by 0.0 s"),
        (1_004.0, "good", "its clock differs by 4.0 s"),
        (1_060.0, "warning", "its clock is 60.0 s ahead of this machine's"),
        (400.0, "bad", "its clock is 600.0 s behind this machine's"),
    ],
)
def test_a_clock_that_is_wrong_is_told(theirs: float, level: str, said: str) -> None:
    found = clock_finding("ledger clock", theirs, 1_000.0)
    assert (found.level, found.text) == (level, said)


def test_the_morning_is_some_lines_and_its_status_tells_of_errors(
    home: Path, warehouse: Warehouse, small_capture: Path
) -> None:
    with CaptureSource(small_capture) as source:
        sync_transactions(warehouse, source, read_chart(None))
    warehouse.command(
        "INSERT INTO masques_ops.rail_runs (rail, state, finished_at) "
        "VALUES ('base', 'read', now64(6, 'UTC') - 600)"
    )
    result = invoked("status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) <= 15
    assert lines[0].startswith("right?   no fault is open; looked ")
    assert [line.split(" ", 1)[0] for line in lines[1:5]] == [
        *("proved?", "at", "stuck?", "stale?")
    ]
    assert re.search(r"stale\?   ledger [0-9]+ s, rail base 10 min, scores never", result.stdout)
    found, _ = findings()
    assert found["lag rail base"]["text"] == "10 min behind"
    assert found["lag ledger"]["level"] == "good"  # the capture is old: a ledger that rests
    warehouse.command("TRUNCATE TABLE masques_ops.ledger_syncs")
    warehouse.command(
        "INSERT INTO masques_ops.ledger_syncs (watermark_ns, recorded_at) "
        "VALUES (1, now64(6, 'UTC') - 7200)"
    )
    found, _ = findings()
    assert found["lag ledger"]["level"] == "warning"
    assert found["lag ledger"]["text"] == "2 h behind"
    now = datetime.now(UTC)
    open_ = {str(number): Open(replace(FAULT, id=str(number)), now) for number in range(20)}
    write_book(home / "dagster", Book(open_, looked_at=now))
    result = invoked("status")
    assert result.exit_code == 1
    assert re.search("error: a is red, [0-9]+ s ago; masques runbook freshness", result.stdout)
    assert "and 14 more: masques doctor" in result.stdout
    assert len(result.stdout.splitlines()) <= 15
