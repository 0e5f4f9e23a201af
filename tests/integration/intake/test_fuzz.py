"""Generated files: no row is lost, and both ways to check a row agree."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from masques_pipelines.intake.run import IntakeResult
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns import intake_rows
from tests.support.campaign import rounds
from tests.support.gate_rows import (
    GOOD,
    NOON,
    at,
    made_id,
    request,
)
from tests.support.landing_zone import (
    Zone,
    assert_accounted_for,
    counts,
    in_quarantine,
    rows_of,
    undocumented,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([made_id(1, 1), at(1), "paid", "0.1", "don", "9" * 400]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def fuzzed_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A table and a file of good rows with wrong values, missing and unknown fields, bad bytes."""
    table = draw(st.sampled_from(list(GOOD)))
    lines: list[bytes] = []
    for _ in range(draw(st.integers(0, 25))):
        row = GOOD[table](draw(st.integers(0, 5)))
        for name in draw(st.lists(st.sampled_from([*row, "other"]), max_size=3)):
            row[name] = draw(JSON_VALUES)
        line = json.dumps(row, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
        if draw(st.integers(0, 4)) == 0:
            start = draw(st.integers(0, len(line)))
            noise = draw(st.binary(max_size=6))
            line = line[:start] + noise + line[start + draw(st.integers(0, 5)) :]
        lines.append(line)
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    return table, ending.join(lines)


def test_fuzzed_files_never_lose_a_row(warehouse: Warehouse, zone: Zone) -> None:
    lines: dict[str, int] = {}

    @hypothesis_settings(
        max_examples=rounds(30),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(fuzzed_files())
    def deliver(file: tuple[str, bytes]) -> None:
        table, data = file
        path = f"{table}/{len(lines):04}.ndjson"
        zone.drop(path, data)
        lines[path] = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")

    deliver()
    for folder in TABLES:
        for result in zone.load(warehouse, folder).files:
            wanted = lines.pop(result.path)
            if result.state != "same":
                assert (result.state, result.rows_read) == ("loaded", wanted)
    assert lines == {}
    for name, table in TABLES.items():
        done = IntakeResult(table)
        assert_accounted_for(warehouse, done)
        entered = warehouse.scalar(
            f"SELECT sum(loaded) FROM masques_ops.intake_files FINAL WHERE folder = '{name}'"
        )
        held = ".".join(table.kept_in[-1])
        assert warehouse.scalar(f"SELECT count() FROM {held}") == entered


def test_odd_rows_end_in_one_way_each(warehouse: Warehouse, tmp_path: Path) -> None:
    outcome = intake_rows.run(warehouse, tmp_path / "landing", size=rounds(2_000), seed=1)
    assert outcome.faults == []
    assert min(outcome.ended.values()) > 10
    assert len(outcome.reasons) > 30
    assert undocumented(outcome.reasons) == []


NEARLY_RIGHT: list[Any] = [
    *(
        "",
        None,
        "0" * 32,
        "0",
        "1.0",
        "1.50",
        "1e3",
        "1e-7",
        "65536",
        10**20,
        made_id(-1),
        "A" * 33,
    ),
    *(at(10**5), at(-(10**8)), f"{NOON:%Y-%m-%d}", " 1", "+1", "1.", ".5", [made_id(1)], {"a": 1}),
]


@st.composite
def lines_of_requests(draw: st.DrawFn) -> bytes:
    """A request with some values that are nearly right, so that most roads are taken."""
    row = request(draw(st.integers(0, 5)))
    for name in draw(st.lists(st.sampled_from([*row, "other"]), max_size=3)):
        row[name] = draw(JSON_VALUES | st.sampled_from(NEARLY_RIGHT))
    line = json.dumps(row)
    if draw(st.integers(0, 5)) == 0:
        other = draw(st.sampled_from(['"endpoint"', '"x"', '"\\u006dethod"']))
        line = line.replace('"method"', other)
    return line.encode() + draw(st.sampled_from([b"", b"\r", b" ", b"\0"]))


def test_the_fast_check_of_a_request_and_the_full_one_agree(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each field with each value by itself and without, and then any of them together.
    lines = [
        json.dumps(request(1000 + n, **{name: value})).encode()
        for n, (name, value) in enumerate(itertools.product(request(0), NEARLY_RIGHT))
    ]
    for n, name in enumerate(request(0)):
        lacking = request(2000 + n)
        del lacking[name]
        lines.append(json.dumps(lacking).encode())

    @hypothesis_settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(lines_of_requests())
    def gather(line: bytes) -> None:
        lines.append(line)

    gather()
    stage, short = TABLES["api_requests"].stage_sql, "if(is_surely_good, ''"
    assert short in stage
    outcomes = []
    for text in (stage, stage.replace(short, "if(0 = 1, ''")):
        monkeypatch.setattr(IntakeTable, "stage_sql", text)
        for name in ("masques.api_requests", "masques_ops.quarantine", "masques_ops.intake_files"):
            warehouse.command(f"TRUNCATE TABLE {name}")
        zone.drop("api_requests/a.ndjson", b"\n".join(lines))
        done = zone.load(warehouse)
        outcomes.append((counts(done), rows_of(warehouse), in_quarantine(warehouse)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0]["loaded"] > 3
    assert len({reason for _, _, reason in outcomes[0][2]}) > 15
