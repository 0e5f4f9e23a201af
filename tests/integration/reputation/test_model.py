"""The reputation model on the real engine: worked numbers, and the model in plain Python."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from masques_pipelines.reputation import runs
from masques_pipelines.reputation.model import load_model
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.campaign import rounds
from tests.support.fresh_schema import fresh_schema
from tests.support.reputation_generated import generated_world
from tests.support.reputation_reference import python_scores
from tests.support.reputation_world import MODEL, PLATFORM, Event, Score, World, ident, sql_scores

NOW = datetime.now(UTC).replace(microsecond=0)
Scores = dict[uuid.UUID, Score]
EFFECTS = """
SELECT identity_id, sum(effect)
FROM masques_ops.reputation_contributions_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = now64(9, 'UTC'))
GROUP BY identity_id
"""


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def judged(
    world: World, subject: str, payer: str, days: float, delta: float = 1, usd: str = "1"
) -> None:
    """Records a payment, and what the payer says of it."""
    payment = world.pay(ident(payer), ident(subject), ago(days), usd)
    world.events.append(
        Event(
            *(ident(subject), ago(days)),
            delta=delta,
            reference_type="transaction",
            reference=payment,
            counterparty=str(ident(payer)),
        )
    )


def shoppers(world: World, prefix: str, number: int, usd: str = "200") -> list[str]:
    """Payers that bought elsewhere, at a shop where most money goes."""
    names = [f"{prefix} client {n}" for n in range(number)]
    for name in names:
        world.pay(ident(name), ident("big shop"), ago(1), usd)
    return names


def assert_same(by_sql: Scores, by_python: Scores) -> None:
    assert set(by_sql) == set(by_python)
    for identity, score in by_sql.items():
        assert vars(score) == pytest.approx(vars(by_python[identity]), rel=0, abs=1e-9), identity


@pytest.fixture(scope="module")
def scores(engine_settings: Settings) -> Iterator[Scores]:
    """The worked examples of docs/reputation.md, in one world."""
    world = World(identities={ident("nobody yet"): {}})
    (client,) = shoppers(world, "newcomer", 1, "180")
    for days in (1, 2, 3):
        judged(world, "newcomer", client, days)
    for name in ("veteran", "scammer"):
        clients = shoppers(world, name, 40)
        for n in range(120):
            judged(world, name, clients[n % 40], 1 + n * 0.5, -1 if n % 40 == 7 else 1, "5")
    for n in range(15):
        judged(world, "scammer", f"victim {n}", 0.01 * n, -1, "500")
    for n in range(50):
        for k in range(10):
            judged(world, "bought", f"wallet {n}", 0.1 * k, usd="0.01")
    for n in range(1000):
        world.events.append(Event(ident("invented"), ago(n / 100), counterparty=f"friend {n}"))
        world.events.append(
            Event(ident("forged"), ago(n / 100), counterparty=str(PLATFORM), event_id=uuid.uuid4())
        )
    with open_warehouse(engine_settings, origin=Origin(job="tests")) as opened:
        fresh_schema(opened)
        world.load(opened)
        found = sql_scores(opened, NOW)
        assert_same(found, python_scores(world, NOW))
        yield found


def test_who_is_not_judged_has_the_prior(scores: Scores) -> None:
    score = scores[ident("nobody yet")]
    assert (score.overall, score.confidence, score.events) == (0.5, 0.0, 0)
    assert score.lower == pytest.approx(0.3543, abs=1e-4)


def test_the_newcomer(scores: Scores) -> None:
    score = scores[ident("newcomer")]
    # A payer with 0.956 of a voice, who says 14.3 pieces of evidence today, would count 0.72. The
    # three dollars that it paid limit it; they count whole, since it spends where most is spent.
    assert score.evidence == pytest.approx(3 * 0.016, abs=1e-9)
    assert score.task_quality == pytest.approx((5 + 0.048) / (10 + 0.048), abs=1e-9)
    assert (score.week_ago, score.month_ago) == (0.5, 0.5)


def test_the_veteran_and_its_exit(scores: Scores) -> None:
    veteran, scammer = scores[ident("veteran")], scores[ident("scammer")]
    # 39 content clients with three payments of 5 dollars each: more than the 600 dollars of its
    # trade allow. One that was not: 45.6 pieces of evidence by the money at stake.
    assert veteran.evidence == pytest.approx(600 * 0.016 + 0.003 * 45.6, abs=0.002)
    assert veteran.task_quality == pytest.approx(0.7397, abs=1e-4)
    # 15 victims of 500 dollars: more than the 57 pieces of praise, so that nothing of it is left.
    assert scammer.evidence == pytest.approx(15 * 0.003 * 500 / 0.2 + 0.003 * 45.6, abs=0.5)
    assert scammer.task_quality < 0.05
    assert (scammer.economic, scammer.identity_hygiene) == (0.5, 0.5)
    assert scammer.lower < scores[ident("nobody yet")].lower
    assert min(scammer.week_ago, veteran.week_ago) > 0.59


@pytest.mark.parametrize("name", ["invented", "forged"])
def test_what_costs_nothing_shares_one_cap(scores: Scores, name: str) -> None:
    score = scores[ident(name)]
    assert score.evidence == pytest.approx(MODEL.cap_free)
    assert score.overall == pytest.approx(0.5 + 0.4 * 0.015 / 10.03)


def test_fifty_wallets_of_ten_cents_buy_nothing(scores: Scores) -> None:
    assert scores[ident("bought")].evidence < 0.05


@pytest.mark.parametrize("seed", range(1, 1 + rounds(1)))
def test_the_sql_equals_plain_python_on_thousands_of_cases(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # Events are compared in several parts, as millions of them would be.
    monkeypatch.setattr(runs, "PART_ROWS", 3000)
    world = generated_world(NOW, seed=seed, identities=900, events=7000)
    seeds = tuple(ident(f"agent {seed} {n}") for n in range(0, 900, 10))
    model = MODEL.model_copy(update={"version": "seeded", "seeds": seeds})
    load_model(warehouse, model)
    world.load(warehouse)

    now, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW, model)
    assert sum(score.overall != 0.5 for score in now.values()) > 500
    assert_same(now, by_python)
    # Those of 7 and 30 days ago are the model of then, and the effects of events add up to them.
    for days, name in ((0, "overall"), (7, "week_ago"), (30, "month_ago")):
        then = sql_scores(warehouse, ago(days))
        for identity, score in now.items():
            was = then[identity].overall if identity in then else 0.5
            assert getattr(score, name) == pytest.approx(was, abs=1e-9)
        effects = dict(warehouse.rows(EFFECTS, {"as_of": f"{ago(days):%Y-%m-%d %H:%M:%S.%f}"}))
        for identity, score in then.items():
            assert score.overall == pytest.approx(0.5 + effects.get(identity, 0), abs=1e-9)
