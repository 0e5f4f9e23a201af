"""What attacks on the reputation cost, by the benchmark, and the benchmark by the reference."""

import importlib.util
import sys
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.support.reputation_reference import python_scores
from tests.support.reputation_world import CATEGORIES, MODEL, Event, World, ident

FILE = Path(__file__).parents[3] / "benchmarks" / "bench_reputation_attack.py"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_reputation_attack", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("trusted", [0.2, 0.1, 0.0])
def test_no_attack_costs_less_than_honest_trade_of_the_rank(
    bench: ModuleType, trusted: float
) -> None:
    world = bench.World(MODEL, seed=1, sellers=300, buyers=3000, trusted=trusted)
    lines = world.attacks()
    assert len(lines) == 10
    for line in lines:
        # To sink somebody has no honest price; it costs a multiple of what the name did.
        least = line.honest_usd * (5 if line.attack == "bad-mouthing" else 1)
        assert line.cost_usd == 0 or line.cost_usd >= least, line
    free = bench.lower(MODEL, np.full(3, MODEL.cap_free), np.zeros(3))
    assert world.rank(float(free)) < 0.5
    assert max(world.after_exit(rank) for rank in (0.5, 0.8, 0.9, 0.99)) < 0.5
    # An honest newcomer gets there.
    ranks = [world.newcomer(0.9, days) for days in (7, 30, 90)]
    assert ranks[0] < ranks[1] < ranks[2] + 0.01
    assert ranks[1] > 0.5


def test_the_benchmark_scores_like_the_reference(bench: ModuleType) -> None:
    sellers, buyers = 6, 40
    trade = bench.population(np.random.default_rng(1), sellers, buyers)
    seeds = np.arange(0, buyers, 4)
    model = MODEL.model_copy(update={"seeds": tuple(ident(f"buyer {n}") for n in seeds)})
    trust = bench.Trust.of(model, trade, seeds, sellers, buyers)
    found = bench.scores(model, trade, trust, sellers)
    expected = python_scores(as_world(trade), NOW, model)
    for seller, lower in enumerate(found):
        assert lower == pytest.approx(expected[ident(f"seller {seller}")].lower, abs=1e-9)


def as_world(trade: Any) -> World:
    world = World()
    for n, (buyer, seller) in enumerate(zip(trade.buyer, trade.seller, strict=True)):
        at = NOW - timedelta(days=float(trade.age[n]))
        usd = str(Decimal(repr(float(trade.usd[n]))))
        payment = world.pay(ident(f"buyer {buyer}"), ident(f"seller {seller}"), at, usd)
        if trade.said[n]:
            world.events.append(
                Event(
                    *(ident(f"seller {seller}"), at, CATEGORIES[trade.category[n]]),
                    delta=float(trade.said[n]),
                    reference_type="transaction",
                    reference=payment,
                    event_id=uuid.uuid4(),
                )
            )
    return world
