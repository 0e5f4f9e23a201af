"""Spans of a world: each once, whatever was killed, and never into a Collector's own database."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.commands.trace import trace
from masques_pipelines.sandbox.check import read_found
from masques_pipelines.sandbox.collector import deliver_spans
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.world.shape import DAY, SECOND, shape_of
from masques_pipelines.sandbox.world.store import World, advance, make_world
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.sandbox_pipeline import sandbox_settings

START = 1_790_000_000 * SECOND // DAY * DAY
COUNTS = "SELECT count(), uniqExact(SpanId), uniqExact(TraceId) FROM otel.otel_traces"
DIGEST = "SELECT groupBitXor(sipHash64(tuple(*))) FROM otel.otel_traces"


def made(home: Path, now_ns: int) -> Settings:
    make_world(home / "sandbox", World(shape_of(5, START, 0.01), now_ns, now_ns))
    return sandbox_settings(home)


@pytest.fixture
def _environment(
    engine_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_SANDBOX", "1")
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)


@pytest.mark.usefixtures("_environment")
def test_each_span_is_there_once_whatever_was_killed(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = made(tmp_path, START + DAY + DAY // 2)
    assert deliver_spans(warehouse, settings).refused.endswith("not stamped as the sandbox's")
    stamp_warehouse(warehouse, settings)
    first = deliver_spans(warehouse, settings)
    assert first.rows == warehouse.row(COUNTS)[0] > 300
    assert deliver_spans(warehouse, settings).rows == 0
    # The rest of the day, and what a killed insert did not write.
    advance(tmp_path / "sandbox", START + 3 * DAY)
    whole = first.rows + deliver_spans(warehouse, settings).rows
    digest = warehouse.scalar(DIGEST)
    warehouse.command(
        "ALTER TABLE otel.otel_traces DELETE WHERE cityHash64(SpanId) % 3 = 0",
        mutations_sync=2,
    )
    lost = whole - warehouse.row(COUNTS)[0]
    assert deliver_spans(warehouse, settings).rows == lost > 100
    spans, ids, traces = warehouse.row(COUNTS)
    assert (spans, ids) == (whole, whole)
    assert 100 < traces < spans
    assert warehouse.scalar(DIGEST) == digest
    services = warehouse.rows(
        "SELECT DISTINCT ServiceName FROM otel.otel_traces ORDER BY ServiceName"
    )
    assert services == [("facilitator",), ("gate",), ("ledger",), ("masque",)]
    # Each but the gate's is a part of one of the gate's, in its trace.
    assert not warehouse.scalar(
        "SELECT count() FROM otel.otel_traces WHERE ParentSpanId != '' AND (TraceId, ParentSpanId) "
        "NOT IN (SELECT TraceId, SpanId FROM otel.otel_traces WHERE ServiceName = 'gate')"
    )
    paid = str(
        warehouse.scalar(
            "SELECT min(TraceId) FROM otel.otel_traces WHERE SpanName = 'POST /settle'"
        )
    )
    shown = CliRunner().invoke(trace, [paid], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[4] for line in shown][:3] == ["gate", "gate", "facilitator"]
    unknown = CliRunner().invoke(trace, ["0" * 32])
    assert "has no span of this trace" in str(unknown.exception)
    assert CliRunner().invoke(trace, ["12"]).exit_code == 2


def test_the_database_of_a_collector_is_never_written(warehouse: Warehouse, tmp_path: Path) -> None:
    settings = made(tmp_path, START + DAY)
    stamp_warehouse(warehouse, settings)
    warehouse.command("CREATE DATABASE otel")
    warehouse.command("CREATE TABLE otel.otel_traces (TraceId String) ENGINE = Memory")
    refused = deliver_spans(warehouse, settings)
    assert (refused.rows, refused.refused) == (
        0,
        "the database otel is a Collector's, not the sandbox's",
    )
    assert warehouse.rows("SELECT name FROM system.tables WHERE database = 'otel'") == [
        ("otel_traces",)
    ]
    assert read_found(warehouse) == []
