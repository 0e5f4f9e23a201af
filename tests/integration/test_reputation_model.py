"""The reputation model on the real engine: the worked numbers, and a second implementation."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from masques_pipelines.reputation import facts
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.warehouse import Warehouse
from tests.support.reputation_world import (
    CATEGORIES,
    PLATFORM,
    Event,
    Request,
    Score,
    Session,
    Settlement,
    World,
    empty_tables,
    ident,
    migrated_once,
    python_scores,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
SUBJECT = ident("subject")


@pytest.fixture(scope="module")
def migrated(engine_settings: Settings) -> Iterator[Warehouse]:
    with migrated_once(engine_settings) as opened:
        yield opened


@pytest.fixture
def warehouse(migrated: Warehouse) -> Warehouse:
    """A warehouse with the whole schema and no rows, without migrating for every test."""
    empty_tables(migrated)
    return migrated


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


def generated_world(seed: int, identities: int, events: int) -> World:
    """Everything that the model tells apart, in arbitrary mixtures."""
    dice = random.Random(seed)
    world = World()
    names = [ident(f"agent {seed} {n}") for n in range(identities)]
    for name in names[: identities * 3 // 4]:
        shared = f"0xSHARED{dice.randrange(identities)}"
        world.identities[name] = {"wallet": shared} if dice.random() < 0.1 else {"agent": "7"}
        if dice.random() < 0.9:
            world.identities[name] = {"agent": str(names.index(name))}
    world.rates = [("SOL", ago(days), Decimal(140 + days)) for days in (118, 60, 55, 30, 9, 3)]
    treasury = world.account(ident("platform"), "treasury")
    for _ in range(identities // 3):
        payer, payee = dice.sample(names, 2)
        world.fund(payer, payee, ago(dice.uniform(100, 119)))
    for name in dice.sample(names, identities // 5):
        deposit = world.pay(
            name,
            name,
            ago(dice.uniform(0, 119)),
            debit=treasury,
            credit=world.account(name),
            kind="deposit",
        )
        world.settlements.append(
            Settlement(
                uuid.uuid4(),
                ago(dice.uniform(0, 119)),
                dice.choice(["confirmed", "pending"]),
                deposit,
                f"0xWALLET{dice.randrange(identities // 4)}",
            )
        )
    for n in range(events):
        world.events.append(generated_event(world, dice, names, n))
    for event in dice.sample(world.events, events // 50):
        world.events.append(event)
    return world


def generated_event(world: World, dice: random.Random, names: list[uuid.UUID], n: int) -> Event:
    subject, other = dice.sample(names, 2)
    at = ago(dice.uniform(-2, 130))
    kind = dice.choice(["transaction", "session", "request", "settlement", "attestation", ""])
    reference = uuid.uuid4()
    payment = None
    if kind not in ("attestation", "") and dice.random() < 0.8:
        payer, payee = (other, subject) if dice.random() < 0.8 else (subject, other)
        if dice.random() < 0.1:
            payer = dice.choice(names)
        payment = world.pay(
            payer,
            payee,
            at - timedelta(seconds=dice.randrange(1, 3600)),
            dice.choice(["0.0005", "0.004", "1", "20", "0.5"]),
            kind=dice.choice(["api_call", "masque_session", "fee"]),
            currency=dice.choice(["USD", "USD", "SOL", "XYZ"]),
            trace=f"trace {n}",
            event_type=dice.choice(["single_phase", "single_phase", "two_phase_pending"]),
        )
        if dice.random() < 0.15:
            paid = world.transfers[-1]
            share = dice.choice([Decimal("0.25"), Decimal(1), Decimal(2)])
            world.pay(
                payee,
                payer,
                at,
                str(paid.amount * share),
                kind="refund",
                debit=paid.credit,
                credit=paid.debit,
                currency=paid.currency,
                trace=paid.trace,
            )
    known = dice.random() < 0.9
    if kind == "transaction":
        reference = payment or reference
    elif kind == "session" and known:
        world.sessions.append(
            Session(reference, dice.choice([other, subject]), subject, at, payment)
        )
    elif kind == "request" and known:
        world.requests.append(Request(reference, dice.choice([other, subject]), at, payment))
    elif kind == "settlement" and known:
        for revision in range(1, dice.randrange(2, 4)):
            status = dice.choice(["confirmed", "confirmed", "pending", "failed"])
            world.settlements.append(
                Settlement(reference, at, status, payment, "0xpayer", revision, "out")
            )
    return Event(
        subject,
        at,
        dice.choice([*CATEGORIES, "gossip"]),
        dice.choice([1.0, -1.0, 0.3, -0.7, 0.0, 17.0, -17.0, float("nan")]),
        dice.choice([1.0, 1.0, 0.8, 0.4, 3.0, 0.0, -1.0, float("nan")]),
        kind,
        reference if kind not in ("attestation", "") else None,
        dice.choice([str(other), str(other), "", str(PLATFORM), "somebody", str(subject)]),
    )


def test_the_sql_equals_plain_python_on_thousands_of_cases(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # References and events are compared in several parts, as millions of them would be.
    monkeypatch.setattr(facts, "PART_ROWS", 2000)
    world = generated_world(seed=1, identities=2500, events=12_000)
    world.load(warehouse)

    by_sql, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW)
    assert len(by_sql) > 2000
    assert sum(score.overall != 0.5 for score in by_sql.values()) > 1200
    assert_same(by_sql, by_python)


@pytest.mark.parametrize("days", [7, 30])
def test_the_scores_of_days_ago_are_the_model_at_that_time(warehouse: Warehouse, days: int) -> None:
    world = generated_world(seed=2, identities=300, events=2000)
    world.load(warehouse)

    now, then = sql_scores(warehouse, NOW), sql_scores(warehouse, ago(days))
    for identity, score in now.items():
        was = score.week_ago if days == 7 else score.month_ago
        assert was == pytest.approx(then[identity].overall if identity in then else 0.5, abs=1e-9)
