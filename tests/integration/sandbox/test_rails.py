"""The sandbox's rails: recordings of three nodes and a gate's journal, installed and replayed."""

import json
import time
from pathlib import Path

import pytest

from masques_pipelines.rails import recording
from masques_pipelines.rails.catalog import disabled_reason
from masques_pipelines.rails.node import open_node
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.sandbox import rails as packaged
from masques_pipelines.sandbox import redating
from masques_pipelines.sandbox.stand_ins import install, with_stand_ins
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse

STATES = [
    ("base", "in", "confirmed", "", 5),
    ("base", "in", "failed", "transaction_reverted", 1),
    ("base", "in", "pending", "", 1),
    ("base", "in", "unknown", "no_answer", 1),
    ("base", "in", "unknown", "not_seen_until_deadline", 1),
    ("base", "out", "confirmed", "", 1),
    ("lightning", "in", "confirmed", "", 2),
    ("lightning", "in", "failed", "invoice_canceled", 1),
    ("lightning", "in", "failed", "invoice_expired", 1),
    ("lightning", "in", "pending", "", 1),
    ("lightning", "out", "confirmed", "", 1),
    ("solana", "in", "confirmed", "", 3),
    ("solana", "in", "failed", "transaction_failed: InstructionError: [2, Custom: 1]", 1),
    ("solana", "in", "pending", "", 1),
]


def test_the_recordings_give_the_demos_settlements_now_and_no_row_the_second_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    plain = read_settings({"MASQUES_HOME": str(tmp_path)})
    assert disabled_reason(plain, "base") == "MASQUES_BASE_RPC_URL is not set"
    settings = with_stand_ins(plain)
    install(tmp_path / "sandbox")
    assert disabled_reason(settings, "base") is None
    done = ingest_all(warehouse, settings)
    assert [each.error for each in done.outcomes] == ["", "", "", ""]
    assert (
        warehouse.rows(
            "SELECT rail, direction, status, failure_reason, count() "
            "FROM masques_marts.settlements_current GROUP BY ALL ORDER BY ALL"
        )
        == STATES
    )
    newest = warehouse.scalar("SELECT toUnixTimestamp(max(timestamp)) FROM masques.settlements")
    assert time.time() - 600 < newest <= time.time() + 5  # re-dated to now
    install(tmp_path / "sandbox")
    assert ingest_all(warehouse, settings).rows_written == 0


def test_rails_of_production_are_off_until_they_are_set_whatever_a_demo_installed(
    tmp_path: Path,
) -> None:
    install(tmp_path / "sandbox")
    settings = with_stand_ins(
        read_settings({"MASQUES_HOME": str(tmp_path), "MASQUES_LND_URL": "http://127.0.0.1:1"})
    )
    assert disabled_reason(settings, "lightning") is None
    assert disabled_reason(settings, "base") == "MASQUES_BASE_RPC_URL is not set"
    assert disabled_reason(settings, "solana") == "MASQUES_SOLANA_RPC_URL is not set"


def test_no_secret_is_in_the_package() -> None:
    folder = Path(packaged.__file__).parent / "data" / "rails"
    for line in (folder / packaged.JOURNAL_NAME).read_text().splitlines():
        assert not {"signature", "macaroon", "preimage"} & set(_names(json.loads(line)))


def _names(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for each in value.values() for name in _names(each))]
    return [name for each in value for name in _names(each)] if isinstance(value, list) else []


def test_a_request_that_was_not_recorded_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"recorded_at_s": 1, "exchanges": []}))
    node = open_node(f"recording://{path}")
    with pytest.raises(recording.RecordingError, match="the recording holds no answer to"):
        node.json("GET", "/v1/getinfo")
    node.close()
    path.write_text("{")
    with pytest.raises(recording.RecordingError, match="cannot be read as a recording"):
        open_node(f"recording://{path}")


def test_every_time_of_a_recording_moves_in_the_form_that_it_has() -> None:
    response = {
        "timestamp": "0x10",
        "blockTime": 100,
        "settle_date": "0",  # none, and stays none
        "creation_date": "100",
        "creation_time_ns": "100000000000",
        "number": "0x10",
    }
    exchanges = [
        {"request": ["POST", "", {"method": "x"}], "status": 200, "response": {"result": response}},
        {
            "request": ["POST", "", {"method": "getBlockTime"}],
            "status": 200,
            "response": {"result": 100},
        },
    ]
    moved = redating.redated({"recorded_at_s": 100, "exchanges": exchanges}, 5)
    assert moved["recorded_at_s"] == 105
    assert moved["exchanges"][0]["response"]["result"] == {
        "timestamp": "0x15",
        "blockTime": 105,
        "settle_date": "0",
        "creation_date": "105",
        "creation_time_ns": "105000000000",
        "number": "0x10",
    }
    assert moved["exchanges"][1]["response"]["result"] == 105
