"""The reputation model on the real engine: the worked numbers, and a second implementation."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from masques_pipelines.reputation import facts
from masques_pipelines.warehouse.client import Warehouse
from tests.support.reputation_generated import generated_world
from tests.support.reputation_world import (
    PLATFORM,
    Event,
    Score,
    World,
    ident,
    python_scores,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
SUBJECT = ident("subject")


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def paid_event(world: World, payer: uuid.UUID, days: float, **rest: object) -> Event:
    """A judgement of SUBJECT by a payer, grounded in a payment of one dollar."""
    payment = world.pay(payer, SUBJECT, ago(days))
    event = Event(
        SUBJECT,
        ago(days),
        reference_type="transaction",
        reference=payment,
        counterparty=str(payer),
        **rest,  # type: ignore[arg-type]
    )
    world.events.append(event)
    return event


def score_of_subject(warehouse: Warehouse, world: World) -> Score:
    world.load(warehouse)
    by_sql, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW)
    assert_same(by_sql, by_python)
    return by_sql[SUBJECT]


def assert_same(one: dict[uuid.UUID, Score], other: dict[uuid.UUID, Score]) -> None:
    assert set(one) == set(other)
    for identity, score in one.items():
        assert vars(score) == pytest.approx(vars(other[identity]), rel=0, abs=1e-9), identity


def test_the_newcomer(warehouse: Warehouse) -> None:
    world = World()
    client = ident("client")
    # One dollar each to two other sellers: cap 1 + log2(1 + 1) = 2 is below the evidence 2.865, so
    # the client spends 7 dollars beyond its main seller, which gives cap 4.
    world.pay(client, ident("seller a"), ago(5), "100")
    world.pay(client, ident("seller b"), ago(5), "7")
    for days in (1, 2, 3):
        paid_event(world, client, days)
    score = score_of_subject(warehouse, world)

    assert score.task_quality == pytest.approx(0.611, abs=6e-4)
    assert (score.economic, score.identity_hygiene) == (0.5, 0.5)
    assert score.overall == pytest.approx(0.545, abs=6e-4)
    assert score.lower == pytest.approx(0.407, abs=6e-4)
    assert score.confidence == pytest.approx(0.089, abs=6e-4)
    assert (score.week_ago, score.month_ago) == (0.5, 0.5)


def veteran(world: World) -> None:
    for n in range(120):
        # 40 clients, three tasks each: no client reaches its cap.
        paid_event(
            world, ident(f"client {n % 40}"), (n + 0.5) * 0.75, delta=-1.0 if n % 20 == 0 else 1.0
        )
    for n in range(60):
        paid_event(world, ident(f"client {n % 40}"), (n + 0.5) * 1.5, category="economic")
    for n in range(20):
        world.events.append(
            Event(
                SUBJECT,
                ago((n + 0.5) * 4.5),
                "identity_hygiene",
                counterparty=str(PLATFORM),
                reference_type="attestation",
            )
        )


def spenders(world: World, names: list[str], usd: str = "31") -> None:
    """Gives each payer purchases elsewhere: cap 1 + log2(1 + 31) = 6, so cap_most."""
    for name in names:
        world.pay(ident(name), ident("seller a"), ago(1), "1000")
        world.pay(ident(name), ident("seller b"), ago(1), usd)
        world.pay(ident(name), ident("seller a"), ago(91), "1000")
        world.pay(ident(name), ident("seller b"), ago(91), usd)


def test_the_veteran(warehouse: Warehouse) -> None:
    world = World()
    spenders(world, [f"client {n}" for n in range(40)])
    veteran(world)
    score = score_of_subject(warehouse, world)

    assert score.overall == pytest.approx(0.830, abs=6e-4)
    assert score.lower == pytest.approx(0.769, abs=6e-4)
    assert score.confidence == pytest.approx(0.699, abs=6e-4)
    assert score.task_quality == pytest.approx(0.868, abs=6e-4)
    assert score.economic == pytest.approx(0.858, abs=6e-4)
    assert score.identity_hygiene == pytest.approx(0.728, abs=6e-4)


def test_the_sybil(warehouse: Warehouse) -> None:
    world = World()
    boss = ident("boss")
    for n in range(50):
        wallet = ident(f"wallet {n}")
        world.fund(boss, wallet, ago(20 - n / 100))
        for k in range(10):
            paid_event(world, wallet, 10 * (n * 10 + k + 0.5) / 500)
    for n in range(8):
        paid_event(world, ident(f"honest {n}"), n + 0.5, delta=-1.0)
    score = score_of_subject(warehouse, world)

    assert score.task_quality == pytest.approx(0.328, abs=6e-4)
    assert score.overall == pytest.approx(0.431, abs=6e-4)
    assert score.lower == pytest.approx(0.303, abs=6e-4)


def test_the_sybil_that_is_the_subject_itself(warehouse: Warehouse) -> None:
    world = World()
    for n in range(50):
        wallet = ident(f"wallet {n}")
        world.fund(SUBJECT, wallet, ago(20 - n / 100))
        for k in range(10):
            paid_event(world, wallet, 10 * (n * 10 + k + 0.5) / 500)
    for n in range(8):
        paid_event(world, ident(f"honest {n}"), n + 0.5, delta=-1.0)
    score = score_of_subject(warehouse, world)

    assert score.task_quality == pytest.approx(0.289, abs=6e-4)
    assert (score.excluded, score.events) == (500, 508)


def test_the_one_that_turned_bad(warehouse: Warehouse) -> None:
    world = World()
    for n in range(90):
        paid_event(world, ident(f"client {n}"), 30 + 60 * (n + 0.5) / 90)
    for n in range(10):
        paid_event(world, ident(f"late {n}"), 7 * (n + 0.5) / 10, delta=-1.0)
    score = score_of_subject(warehouse, world)

    assert score.month_ago == pytest.approx(0.666, abs=6e-4)
    assert score.week_ago == pytest.approx(0.648, abs=6e-4)
    assert score.overall == pytest.approx(0.569, abs=6e-4)


def test_the_sql_equals_plain_python_on_thousands_of_cases(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # References and events are compared in several parts, as millions of them would be.
    monkeypatch.setattr(facts, "PART_ROWS", 2000)
    world = generated_world(NOW, seed=1, identities=2500, events=12_000)
    world.load(warehouse)

    by_sql, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW)
    assert len(by_sql) > 2000
    assert sum(score.overall != 0.5 for score in by_sql.values()) > 1200
    assert_same(by_sql, by_python)


@pytest.mark.parametrize("days", [7, 30])
def test_the_scores_of_days_ago_are_the_model_at_that_time(warehouse: Warehouse, days: int) -> None:
    world = generated_world(NOW, seed=2, identities=300, events=2000)
    world.load(warehouse)

    now, then = sql_scores(warehouse, NOW), sql_scores(warehouse, ago(days))
    for identity, score in now.items():
        was = score.week_ago if days == 7 else score.month_ago
        assert was == pytest.approx(then[identity].overall if identity in then else 0.5, abs=1e-9)
