"""Worlds through the whole pipeline: everything agrees with everything, and no row comes twice."""

import time
from pathlib import Path

import pytest

from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.sandbox.world.shape import DAY, SECOND, shape_of
from masques_pipelines.sandbox.world.store import World, make_world
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.sandbox_pipeline import run_all, sandbox_settings

# What follows a booking may be told two minutes later.
EDGE_S = 120


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
    assert warehouse.scalar("SELECT count() FROM masques_ops.quarantine") == 0
    assert warehouse.rows(sql("rails/findings")) == [
        row for row in warehouse.rows(sql("rails/findings")) if row[1] == "facilitator_contradicted"
    ]
    assert all_hold(prove_all(warehouse, from_beginning=True))
    assert (
        warehouse.scalar("SELECT countIf(state = 'differs') FROM masques_marts.chain_balances") == 0
    )
    assert run_all(warehouse, settings) == 0
