"""What must hold of any score, on the real engine: each test is one property over many subjects."""

import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from masques_pipelines.reputation.checks import check_scores
from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.fresh_schema import fresh_schema
from tests.support.reputation_world import (
    CATEGORIES,
    MODEL,
    PLATFORM,
    Event,
    Score,
    Settlement,
    World,
    ident,
    python_scores,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
SUBJECTS = 40


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def judged(
    world: World, subject: uuid.UUID, payer: uuid.UUID, days: float, delta: float = 1.0
) -> Event:
    """Records a payment of a dollar, and what the payer says of it."""
    payment = world.pay(payer, subject, ago(days))
    event = Event(
        subject,
        ago(days),
        delta=delta,
        reference_type="transaction",
        reference=payment,
        counterparty=str(payer),
    )
    world.events.append(event)
    return event


def history(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    """An arbitrary past of a subject."""
    for _ in range(dice.randrange(1, 12)):
        payer = ident(f"{subject} payer {dice.randrange(5)}")
        judged(world, subject, payer, dice.uniform(0, 89), dice.choice([1, 1, 0.4, -1]))


def praise(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    judged(world, subject, ident(f"{subject} new payer"), dice.uniform(0, 80))


def blame(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    judged(world, subject, ident(f"{subject} new payer"), dice.uniform(0, 80), -1.0)


def judge_now(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    judged(world, subject, ident(f"{subject} new payer"), 0, dice.choice([1.0, -1.0]))


def flood(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    world.events.extend(
        Event(subject, ago(dice.uniform(0, 1)), counterparty=f"bot {dice.randrange(3)}")
        for _ in range(300)
    )


def deal_with_itself(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    # Itself; a wallet that it funded; another identity with its wallet address.
    puppet, twin = ident(f"{subject} puppet"), ident(f"{subject} twin")
    world.fund(subject, puppet, ago(95))
    address = {"wallet": f"0x{subject.hex}"}
    world.identities.update({subject: address, twin: {"base": address["wallet"].upper()}})
    for payer in (subject, puppet, twin):
        judged(world, subject, payer, dice.uniform(0, 80))


def withdraw(world: World, subject: uuid.UUID, dice: random.Random) -> None:
    del dice
    payer = ident(f"{subject} new payer")
    for fate in ("refunded", "reorged"):
        payment = world.pay(payer, subject, ago(3), "2", trace=f"{subject} {fate}")
        world.events.append(Event(subject, ago(2), reference_type="transaction", reference=payment))
        paid = world.transfers[-1]
        if fate == "refunded":
            back = {"debit": paid.credit, "credit": paid.debit}
            world.pay(subject, payer, ago(1), "2", kind="refund", trace=paid.trace, **back)
        else:
            world.settlements += [
                Settlement(ident(f"{subject} s"), ago(3), "confirmed", payment, "0x1", 1),
                Settlement(ident(f"{subject} s"), ago(3), "failed", payment, "0x1", 2),
            ]


CHANGES = (praise, blame, judge_now, flood, deal_with_itself, withdraw)
Pairs = dict[Callable[..., None], list[tuple[Score, Score]]]


def has_payer_cluster(world: World) -> None:
    boss = ident("boss")
    for n in range(30):
        world.fund(boss, ident(f"wallet {n}"), ago(100 - n / 100))
    for n in range(90):
        judged(world, ident("praised"), ident(f"wallet {n % 30}"), n / 90)
    judged(world, ident("bound"), ident("one payer"), 0)


def has_shopper_and_friend(world: World) -> None:
    for n in range(20):
        judged(world, ident("by a shopper"), ident("shopper"), n / 100)
        judged(world, ident("by a friend"), ident("friend"), n / 100)
    world.pay(ident("friend"), ident("by a friend"), ago(1), "100000")
    world.pay(ident("shopper"), ident("seller a"), ago(1), "50")
    world.pay(ident("shopper"), ident("seller b"), ago(1), "50")


def has_small_payments(world: World) -> None:
    world.rates.append(("SOL", ago(2), Decimal(100)))
    for name, amount, currency in (
        ("dust", "0.000001", "USD"),
        ("half", "0.005", "USD"),
        ("rated", "0.00005", "SOL"),
        ("unrated", "0.000001", "XYZ"),
        ("full", "1", "USD"),
    ):
        payment = world.pay(ident("payer"), ident(name), ago(0), amount, currency=currency)
        world.events.append(
            Event(ident(name), ago(0), reference_type="transaction", reference=payment)
        )


def has_money_taken_back(world: World) -> None:
    judge, shop = ident("judge"), ident("shop")
    world.pay(judge, shop, ago(100), "500", trace="t")
    paid = world.transfers[-1]
    # The purchase lies before the window, what was given back in it.
    world.pay(shop, judge, ago(1), "500", kind="refund", debit=paid.credit, credit=paid.debit)
    for n in range(10):
        judged(world, ident("praised by a judge"), judge, n / 100)


@pytest.fixture(scope="module")
def scores(engine_settings: Settings) -> dict[uuid.UUID, Score]:
    """The scores of one world of many subjects that have nothing to do with one another.

    Subjects with a past; for each change, others with the same past and that one change; and those
    of the tests that look at a few.
    """
    world = World(identities={ident("nobody yet"): {}})
    for n in range(SUBJECTS):
        # The same dice throw the same past.
        history(world, ident(f"plain {n}"), random.Random(n))
        for change in CHANGES:
            subject = ident(f"{change.__name__} {n}")
            history(world, subject, random.Random(n))
            change(world, subject, random.Random(1000 + n))
    has_payer_cluster(world)
    has_shopper_and_friend(world)
    has_small_payments(world)
    has_money_taken_back(world)
    with open_warehouse(engine_settings, origin=Origin(job="tests")) as opened:
        fresh_schema(opened)
        world.load(opened)
        return sql_scores(opened, NOW)


@pytest.fixture(scope="module")
def pairs(scores: dict[uuid.UUID, Score]) -> Pairs:
    """For each change, the scores of subjects without and with it."""
    return {
        change: [
            (scores[ident(f"plain {n}")], scores[ident(f"{change.__name__} {n}")])
            for n in range(SUBJECTS)
        ]
        for change in CHANGES
    }


def test_one_more_good_judgement_never_lowers_a_score(pairs: Pairs) -> None:
    for plain, changed in pairs[praise]:
        assert changed.overall > plain.overall
        assert changed.confidence > plain.confidence


def test_one_more_bad_judgement_never_raises_a_score(pairs: Pairs) -> None:
    for plain, changed in pairs[blame]:
        assert changed.overall < plain.overall


def test_one_judgement_moves_a_score_by_at_most_a_fiftieth(pairs: Pairs) -> None:
    # .40 * p / (n + 11) with p = (n + 5) / (n + 10), the largest for n = 0.5.
    for plain, changed in pairs[judge_now]:
        assert abs(changed.overall - plain.overall) <= 0.01823


def test_a_flood_that_proves_nothing_stays_below_one_judgement(pairs: Pairs) -> None:
    # Three names that nobody knows: three caps at most, whatever the number of events.
    for plain, changed in pairs[flood]:
        assert plain.overall <= changed.overall <= plain.overall + 3 * 0.01823
        assert changed.evidence <= plain.evidence + 3 * MODEL.cap_least + 1e-9


def test_self_dealing_counts_zero_and_is_counted(pairs: Pairs) -> None:
    for plain, changed in pairs[deal_with_itself]:
        assert changed.overall == pytest.approx(plain.overall, abs=1e-12)
        assert changed.excluded == plain.excluded + 3


def test_credit_is_withdrawn_when_the_payment_is(pairs: Pairs) -> None:
    for plain, changed in pairs[withdraw]:
        assert changed.overall == pytest.approx(plain.overall, abs=1e-12)
        assert changed.excluded == plain.excluded + 2


def test_a_payer_cluster_counts_for_one_however_much_it_says(
    scores: dict[uuid.UUID, Score],
) -> None:
    assert scores[ident("praised")].evidence == pytest.approx(1.0)
    assert scores[ident("praised")].overall <= scores[ident("bound")].overall + 1e-12


def test_spending_elsewhere_raises_the_cap_and_one_seller_does_not(
    scores: dict[uuid.UUID, Score],
) -> None:
    assert scores[ident("by a shopper")].evidence == pytest.approx(MODEL.cap_most)
    assert scores[ident("by a friend")].evidence == pytest.approx(MODEL.cap_least)


def test_dust_weighs_little_and_a_missing_rate_is_neutral(scores: dict[uuid.UUID, Score]) -> None:
    evidence = {name: scores[ident(name)].evidence for name in ("dust", "half", "rated")}
    assert evidence == pytest.approx({"dust": 0.1, "half": 0.5, "rated": 0.5})
    assert scores[ident("unrated")].evidence == scores[ident("full")].evidence == 1.0


def test_an_identity_without_evidence_has_the_prior(scores: dict[uuid.UUID, Score]) -> None:
    score = scores[ident("nobody yet")]
    assert (score.overall, score.confidence, score.events) == (0.5, 0.0, 0)
    assert score.lower == pytest.approx(0.354, abs=5e-4)


def test_money_taken_back_does_not_count_as_spent(scores: dict[uuid.UUID, Score]) -> None:
    assert scores[ident("praised by a judge")].evidence == pytest.approx(1.0)


def test_any_input_gives_scores_from_zero_to_one(warehouse: Warehouse) -> None:
    world, dice = World(), random.Random(1)
    wild = [1e308, -1e308, float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e-300]
    for n in range(400):
        world.events.append(
            Event(
                ident(f"subject {n % SUBJECTS}"),
                ago(dice.uniform(-3, 130)),
                dice.choice(CATEGORIES),
                dice.choice(wild),
                dice.choice(wild),
                "attestation",
                counterparty=str(PLATFORM),
            )
        )
    world.load(warehouse)
    for score in sql_scores(warehouse, NOW).values():
        parts = [value for value in vars(score).values() if isinstance(value, float)]
        assert all(value >= 0 for value in parts)
        assert max(score.overall, score.confidence, score.week_ago, score.month_ago) <= 1
        assert score.lower <= score.overall


def test_order_and_repetition_of_events_change_nothing(warehouse: Warehouse) -> None:
    world, dice = World(), random.Random(2)
    for n in range(SUBJECTS):
        history(world, ident(f"subject {n}"), dice)
    world.load(warehouse)
    before = sql_scores(warehouse, NOW)

    again = World(events=dice.sample(world.events, len(world.events)))
    again.load(warehouse, ingested_at=datetime.now(UTC))
    for identity, score in sql_scores(warehouse, NOW).items():
        assert vars(score) == pytest.approx(vars(before[identity]), rel=0, abs=1e-12)


def test_evidence_decays_and_ends_without_a_jump(warehouse: Warehouse) -> None:
    world = World()
    subject = ident("subject")
    judged(world, subject, ident("payer"), 0)
    world.load(warehouse)

    gains = [
        sql_scores(warehouse, NOW + timedelta(days=days))[subject].overall - 0.5
        for days in (0, 30, 60, 89.999)
    ]
    # Halved every 30 days, within the little that the prior bends it.
    assert gains[0] > gains[1] > gains[2] > gains[3] > 0
    assert gains[1] / gains[0] == pytest.approx(0.5, abs=0.03)
    assert gains[3] < 0.0026
    past_the_window = sql_scores(warehouse, NOW + timedelta(days=90.001))[subject]
    assert (past_the_window.overall, past_the_window.confidence) == (0.5, 0.0)


def test_a_past_question_gets_the_answer_that_a_run_gave_then(warehouse: Warehouse) -> None:
    world, dice = World(), random.Random(3)
    subjects = [ident(f"subject {n}") for n in range(SUBJECTS)]
    for subject in subjects:
        history(world, subject, dice)
    world.load(warehouse)
    then = datetime.now(UTC)
    given = sql_scores(warehouse, then, known_at=then)

    # What came in later, about earlier: judgements, a refund of a payment, a wallet in common.
    later = World(accounts=world.accounts)
    for subject in subjects:
        history(later, subject, dice)
        later.identities[subject] = {"wallet": "0x00000000same"}
        later.identities[ident(f"{subject} payer 0")] = {"wallet": "0x00000000same"}
    later.load(warehouse, ingested_at=datetime.now(UTC) + timedelta(seconds=1))
    write_facts(warehouse)

    assert sql_scores(warehouse, then, known_at=datetime.now(UTC) + timedelta(hours=1)) != given
    asked = sql_scores(warehouse, then, known_at=then)
    for identity, score in given.items():
        assert vars(asked[identity]) == pytest.approx(vars(score), rel=0, abs=1e-12)


def whitewash(world: World, case: str, *, born: float, link: str, relatives: int = 0) -> None:
    """Lets an identity begin when a bad one is suspended, linked to it."""
    bad, fresh, purse = ident(f"{case} bad"), ident(f"{case} fresh"), ident(f"{case} purse")
    world.suspended.add(bad)
    world.born |= {bad: ago(80), fresh: ago(born)}
    family = [bad, fresh, *(ident(f"{case} relative {n}") for n in range(relatives))]
    for n in range(12):
        judged(world, bad, ident(f"{case} client {n}"), n + 1, -1.0)
    # Praise counts for nobody but the one that earned it.
    judged(world, bad, ident(f"{case} friend"), 1)
    for name in family:
        world.identities[name] = {"wallet": wallet_of(case)} if link == "wallet" else {}
        if link == "purse":
            world.fund(purse, name, ago(79))


def wallet_of(case: str) -> str:
    return f"0x{ident(case).hex}"


def test_a_fresh_name_is_no_fresh_start(warehouse: Warehouse) -> None:
    world = World()
    whitewash(world, "wallet", born=1, link="wallet")
    whitewash(world, "purse", born=1, link="purse")
    whitewash(world, "unlinked", born=1, link="")
    # Who was there first cannot be harmed by one that takes an id of theirs and is suspended.
    whitewash(world, "older", born=81, link="wallet")
    # A purse that funds many is an exchange: 20 others are the limit, these are 21.
    whitewash(world, "at the limit", born=1, link="purse", relatives=19)
    whitewash(world, "public", born=1, link="purse", relatives=20)
    world.load(warehouse)
    by_sql, by_python = sql_scores(warehouse, NOW), python_scores(world, NOW)
    assert set(by_sql) == set(by_python)
    for identity, score in by_sql.items():
        assert vars(score) == pytest.approx(vars(by_python[identity]), abs=1e-9)

    for case in ("wallet", "purse", "at the limit"):
        score = by_sql[ident(f"{case} fresh")]
        assert (score.events, score.negative, score.positive) == (12, 12, 0)
        # p of tasks = 5 / (10 + n), n about ten: well below any newcomer.
        assert score.task_quality < 0.27
        assert score.lower < 0.30
    for case in ("unlinked", "older", "public"):
        score = by_sql[ident(f"{case} fresh")]
        assert (score.overall, score.confidence, score.events) == (0.5, 0.0, 0)

    # What is inherited goes when the suspension does.
    pardoned = World(identities={ident("wallet bad"): {"wallet": wallet_of("wallet")}})
    pardoned.born = {ident("wallet bad"): ago(80)}
    pardoned.load(warehouse, ingested_at=datetime.now(UTC))
    after = sql_scores(warehouse, NOW)
    score = after[ident("wallet fresh")]
    assert (score.overall, score.confidence, score.events) == (0.5, 0.0, 0)
    assert after[ident("purse fresh")].events == 12


def test_money_that_goes_round_raises_no_cap_and_is_flagged(warehouse: Warehouse) -> None:
    world = World()
    ring = [ident(f"ring {n}") for n in range(3)]
    for one in ring:
        for other in ring:
            if one != other:
                world.pay(one, other, ago(2), "100")
                for n in range(10):
                    judged(world, other, one, 1 + n / 100)
    # The same money, not going round: each of three pays two others that pay somebody else.
    line = [ident(f"line {n}") for n in range(3)]
    for n, one in enumerate(line):
        for k in range(2):
            seller = ident(f"seller {n} {k}")
            world.pay(one, seller, ago(2), "100")
            for m in range(10):
                judged(world, seller, one, 1 + m / 100)
    world.pay(ident("a"), ident("b"), ago(1), "5")
    world.pay(ident("b"), ident("c"), ago(1), "5")
    world.pay(ident("c"), ident("a"), ago(1), "5")
    world.identities = {ident(name): {} for name in "abc"}
    world.load(warehouse)
    scores = sql_scores(warehouse, NOW)

    # In the ring: two payers, one each. In the line: one payer, with all that it spent elsewhere.
    assert scores[ring[0]].evidence == pytest.approx(2 * MODEL.cap_least)
    assert scores[ident("seller 0 0")].evidence == pytest.approx(MODEL.cap_most)
    refresh_scores(warehouse)
    flagged = warehouse.rows(
        "SELECT flag, groupUniqArray(identity_id) FROM masques_marts.reputation_flags "
        "WHERE flag != 'single_payer' GROUP BY flag ORDER BY flag"
    )
    assert {flag: set(who) for flag, who in flagged} == {
        "ring_of_2": set(ring),
        "ring_of_3": {*ring, *(ident(name) for name in "abc")},
    }
    single = warehouse.rows(
        "SELECT identity_id FROM masques_marts.reputation_flags WHERE flag = 'single_payer'"
    )
    assert {row[0] for row in single} >= {ident("seller 0 0"), ident("a")}
    assert not {row[0] for row in single} & set(ring)
    (found,) = [f for f in check_scores(warehouse) if f.name == "no_payment_rings"]
    assert (found.passed, found.is_warning, len(found.rows)) == (False, True, 9)
