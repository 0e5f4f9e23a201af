"""Worlds through the whole pipeline: everything agrees with everything, and no row comes twice."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.reconciliation.checks import position
from masques_pipelines.sandbox.check import compare, compared_to_ns, read_found
from masques_pipelines.sandbox.world.day import next_day
from masques_pipelines.sandbox.world.landing import moment
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.shape import DAY, SECOND, Shape, shape_of
from masques_pipelines.sandbox.world.state import first_state
from masques_pipelines.sandbox.world.store import World, make_world, read_troubles
from masques_pipelines.sandbox.world.troubles.catalog import KINDS
from masques_pipelines.sandbox.world.troubles.observed import Trouble
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.sandbox_pipeline import run_all, sandbox_settings

# What follows a booking may be told two minutes later.
EDGE_S = 120


def first_refund(shape: Shape) -> int:
    people = Population(shape)
    state = first_state(people)
    links = np.concatenate([next_day(people, state).rows["links"] for _ in range(5)])
    return int(links["t"][links["t"] % DAY < DAY - 3 * 3_600 * SECOND][0])


def midnight() -> int:
    return time.time_ns() // DAY * DAY


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_agrees_with_everything(warehouse: Warehouse, tmp_path: Path, seed: int) -> None:
    end = midnight()
    shape = shape_of(seed, end - 8 * DAY, 0.01)
    make_world(tmp_path / "sandbox", World(shape, end, end))
    settings = sandbox_settings(tmp_path)
    assert run_all(warehouse, settings) > 1_000
    until = f"{(end - EDGE_S * SECOND) // SECOND}"
    found = warehouse.rows(sql("sandbox/agreement"), {"until": until})
    assert [(what, others) for what, _, _, others in found if others] == []
    assert [what for what, compared, agree, _ in found if compared != agree or not compared] == []
    assert len(found) == 6
    # Breaks are among them, and money that is not there.
    assert read_found(warehouse) == []
    assert [each["asset"] for each in position(warehouse) if each["state"] == "differs"] == []
    assert all_hold(prove_all(warehouse, from_beginning=True))
    assert run_all(warehouse, settings) == 0


def test_each_trouble_is_named_by_id_and_nothing_else_is(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    end = midnight()
    shape = shape_of(4, end - 8 * DAY, 0.05)
    times = {kind: 1 + place % 5 for place, kind in enumerate(sorted(KINDS))}
    troubles = tuple(
        Trouble(number, kind, shape.start_ns + times[kind] * DAY + 6 * 3_600 * SECOND)
        for number, kind in enumerate(sorted(KINDS), start=1)
    )
    # Payouts are made once a week, and refunds are rare.
    rare = {"failed_payout": 6 * DAY, "unknown_refund": first_refund(shape) - shape.start_ns}
    troubles = tuple(
        replace(each, at_ns=shape.start_ns + rare.get(each.kind, each.at_ns - shape.start_ns))
        for each in troubles
    )
    root = tmp_path / "sandbox"
    make_world(root, World(shape, end, end, troubles=troubles))
    settings = sandbox_settings(tmp_path)
    run_all(warehouse, settings)
    entries = read_troubles(root)
    done = compare(entries, read_found(warehouse), moment(end), moment(compared_to_ns(warehouse)))
    assert [each["kind"] for each in entries if each["state"] != "done"] == []
    assert (done.missed, done.invented) == ([], [])
    assert done.found == done.expected
    assert done.found.total() >= 31
    assert done.found.total() + done.unnamed.total() == len(KINDS) >= 35
    assert all_hold(prove_all(warehouse, from_beginning=True))
