"""What must hold of any evidence: which judgement, about which reference, told by whom, of whom.

One world holds a subject for each combination; each test is one property over the subjects.
"""

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.fresh_schema import fresh_schema
from tests.support.reputation_reference import BLAMELESS, python_scores
from tests.support.reputation_world import (
    CATEGORIES,
    MODEL,
    PLATFORM,
    Event,
    Request,
    Score,
    Session,
    Settlement,
    World,
    ident,
    sql_scores,
)

NOW = datetime.now(UTC).replace(microsecond=0)
REFERENCES = (
    *("nothing", "attestation", "unknown", "free session", "free request", "other's payment"),
    *("payment", "paid session", "paid request", "settlement", "unpriced", "refunded", "reorged"),
)
MONEY = ("payment", "paid session", "paid request", "settlement")
CHANNELS = ("landing", "attests", "pipeline")
NAMED = ("nobody", "other side", "strangers", "itself", "attestor")
TIMES = 9


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@dataclass(frozen=True)
class Case:
    """TIMES equal judgements of one subject."""

    delta: float
    reference: str
    channel: str
    named: str
    side: str = "payee"
    event_type: str = "rated"

    @property
    def subject(self) -> uuid.UUID:
        return ident(str(self))

    @property
    def is_attested(self) -> bool:
        return self.named == "attestor" and self.channel != "landing"


CASES = [
    *(Case(*each) for each in itertools.product((1.0, -1.0), REFERENCES, CHANNELS, NAMED)),
    *(Case(d, r, "landing", "other side", "payer") for d in (1.0, -1.0) for r in MONEY),
    *(Case(-0.5, "payment", "pipeline", "attestor", "payer", each) for each in BLAMELESS),
]


def refer(  # noqa: PLR0911 - one for each kind of reference
    world: World, case: Case, number: int
) -> tuple[str, uuid.UUID | None]:
    """Makes what one judgement refers to."""
    client = ident(f"client {number % 4}")
    payer, payee = (client, case.subject) if case.side == "payee" else (case.subject, client)
    if case.reference in ("nothing", "attestation"):
        return ("" if case.reference == "nothing" else "attestation"), None
    if case.reference == "unknown":
        return "transaction", uuid.uuid4()
    thing, trace = uuid.uuid4(), uuid.uuid4().hex
    if case.reference.startswith("free"):
        payment = None
    elif case.reference == "other's payment":
        return "transaction", world.pay(payer, ident("other seller"), ago(2))
    else:
        currency = "XYZ" if case.reference == "unpriced" else "USD"
        payment = world.pay(payer, payee, ago(2), currency=currency, trace=trace)
    if case.reference.endswith("session"):
        world.sessions.append(Session(thing, payer, payee, ago(2), payment))
        return "session", thing
    if case.reference.endswith("request"):
        world.requests.append(Request(thing, payer, ago(2), payment))
        return "request", thing
    paid = world.transfers[-1]
    if case.reference == "refunded":
        world.pay(
            payee,
            payer,
            ago(1),
            kind="refund",
            trace=trace,
            debit=paid.credit,
            credit=paid.debit,
        )
    if case.reference in ("settlement", "reorged"):
        status = "confirmed" if case.reference == "settlement" else "failed"
        world.settlements.append(Settlement(thing, ago(2), status, payment, direction="out"))
        return "settlement", thing
    return "transaction", payment


def judge(world: World, case: Case) -> None:
    for number in range(TIMES):
        kind, reference = refer(world, case, number)
        named = {
            "nobody": "",
            "other side": str(ident(f"client {number % 4}")),
            "strangers": f"stranger {case} {number}",
            "itself": str(case.subject),
            "attestor": str(PLATFORM),
        }[case.named]
        world.events.append(
            Event(
                *(case.subject, ago(1 + number / 100), CATEGORIES[number % 3], case.delta, 1.0),
                *(kind, reference, named, case.event_type, case.channel),
            )
        )


@pytest.fixture(scope="module")
def scores(engine_settings: Settings) -> Iterator[dict[uuid.UUID, Score]]:
    world = World(attesting={"attests"})
    for n in range(4):
        world.pay(ident(f"client {n}"), ident("big shop"), ago(3), "2000")
    for case in CASES:
        judge(world, case)
    with open_warehouse(engine_settings, origin=Origin(job="tests")) as opened:
        fresh_schema(opened)
        world.load(opened)
        found = sql_scores(opened, NOW)
        expected = python_scores(world, NOW)
        for case in CASES:
            assert vars(found[case.subject]) == pytest.approx(
                vars(expected[case.subject]), rel=0, abs=1e-9
            ), case
        yield found


def test_what_no_money_stands_behind_shares_one_cap(scores: dict[uuid.UUID, Score]) -> None:
    for case in CASES:
        is_money = case.reference in MONEY and case.named in ("nobody", "other side")
        if case.is_attested or (is_money and case.side == "payee") or case.delta > 0 < is_money:
            continue
        assert scores[case.subject].evidence <= 3 * MODEL.cap_free + 1e-9, case


def test_who_is_named_changes_nothing_but_takes_the_money_away(
    scores: dict[uuid.UUID, Score],
) -> None:
    for case in CASES:
        if case.named == "other side" and case.side == "payee" and case.channel != "pipeline":
            unnamed = Case(case.delta, case.reference, case.channel, "nobody")
            assert scores[case.subject].evidence == pytest.approx(scores[unnamed.subject].evidence)


def test_only_an_attesting_channel_attests(scores: dict[uuid.UUID, Score]) -> None:
    for case in CASES:
        if case.named == "attestor" and case.side == "payee" and case.reference == "nothing":
            evidence = scores[case.subject].evidence
            least, most = (
                (TIMES * 0.95, TIMES) if case.is_attested else (0, 3 * MODEL.cap_free + 1e-9)
            )
            assert least <= evidence <= most, case


def test_money_counts_for_and_against_who_was_paid(scores: dict[uuid.UUID, Score]) -> None:
    for reference, channel in itertools.product(MONEY, CHANNELS):
        good = scores[Case(1.0, reference, channel, "other side").subject]
        bad = scores[Case(-1.0, reference, channel, "other side").subject]
        assert good.overall > 0.502
        # Limited by the nine dollars that it was paid; blame is not.
        assert good.evidence <= TIMES * MODEL.limit_per_usd + 3 * MODEL.cap_free + 1e-9
        assert bad.overall < 0.5


def test_who_was_paid_cannot_blame_who_paid(scores: dict[uuid.UUID, Score]) -> None:
    for reference in MONEY:
        case = Case(-1.0, reference, "landing", "other side", "payer")
        assert scores[case.subject].evidence <= 3 * MODEL.cap_free + 1e-9


@pytest.mark.parametrize("event_type", BLAMELESS)
def test_what_the_blamed_side_does_not_control_counts_zero(
    scores: dict[uuid.UUID, Score], event_type: str
) -> None:
    case = Case(-0.5, "payment", "pipeline", "attestor", "payer", event_type)
    score = scores[case.subject]
    assert (score.overall, score.evidence, score.excluded) == (0.5, 0.0, TIMES)


def test_what_was_taken_back_and_naming_oneself_count_zero(
    scores: dict[uuid.UUID, Score],
) -> None:
    for case in CASES:
        if case.named == "itself" or (
            case.reference in ("refunded", "reorged") and case.named != "attestor"
        ):
            assert scores[case.subject].evidence == 0, case
            assert scores[case.subject].excluded == TIMES


def test_any_input_gives_scores_from_zero_to_one(warehouse: Warehouse) -> None:
    world = World(attesting={"attests"})
    wild = [1e308, -1e308, float("inf"), float("-inf"), float("nan"), 0.0, -0.0, 1e-300]
    pairs = itertools.product(wild, wild, CHANNELS)
    for n, (delta, confidence, channel) in enumerate(pairs):
        world.events.append(
            Event(
                *(ident(f"subject {n % 20}"), ago(n % 130 - 3), CATEGORIES[n % 3]),
                *(delta, confidence, "attestation"),
                counterparty=str(PLATFORM),
                channel=channel,
            )
        )
    world.load(warehouse)
    for score in sql_scores(warehouse, NOW).values():
        parts = [value for value in vars(score).values() if isinstance(value, float)]
        assert all(value >= 0 for value in parts)
        assert max(score.overall, score.confidence, score.week_ago, score.month_ago) <= 1
        assert score.lower <= score.overall


def test_blame_takes_praise_with_it_in_every_category(warehouse: Warehouse) -> None:
    """A word without money, over a cent, over some of the trade, over more than backs praise."""
    world = World()
    stakes = ("free", "0.01", "100", "400", "2000")
    for stake in stakes:
        for n, category in itertools.product(range(2), CATEGORIES):
            payer = ident(f"payer {n}")
            world.pay(payer, ident("big shop"), ago(3), "500")
            payment = world.pay(payer, ident(stake), ago(2), "10")
            world.events.append(
                Event(
                    *(ident(stake), ago(2), category),
                    reference_type="transaction",
                    reference=payment,
                )
            )
    for stake in stakes[1:]:
        # All are paid the same by the victim, which blames only some of it.
        payment = world.pay(ident("victim"), ident(stake), ago(0.5), stake)
        world.pay(ident("victim"), ident(stake), ago(0.5), str(2000 - Decimal(stake)))
        world.events.append(
            Event(
                *(ident(stake), ago(0.5), "economic", -1.0),
                reference_type="transaction",
                reference=payment,
            )
        )
    world.pay(ident("victim"), ident("free"), ago(0.5), "2000")
    world.events += [Event(ident("free"), ago(0.5), "economic", -1.0) for _ in range(100)]
    world.load(warehouse)
    scores = sql_scores(warehouse, NOW)
    for identity, score in python_scores(world, NOW).items():
        assert vars(scores[identity]) == pytest.approx(vars(score), rel=0, abs=1e-9)
    found = [scores[ident(stake)] for stake in stakes]
    free, *blamed = found
    # A cent, and what costs nothing, take nothing but themselves.
    assert free.task_quality == pytest.approx(blamed[0].task_quality, abs=1e-4)
    assert free.overall == pytest.approx(blamed[0].overall, abs=0.0016)
    for category in ("task_quality", "identity_hygiene"):
        parts = [getattr(score, category) for score in blamed]
        assert parts == sorted(parts, reverse=True)
        assert parts[0] > parts[1] > parts[2] > parts[3] == 0.5
        assert parts[2] - 0.5 < 0.9 * (parts[0] - 0.5)


def test_stakes_splits_and_circles(warehouse: Warehouse) -> None:
    world = World()

    def judged(subject: str, payer: str, usd: str, times: int = 1, delta: float = 1) -> None:
        payment = world.pay(ident(payer), ident(subject), ago(1), usd)
        world.events.extend(
            Event(
                *(ident(subject), ago(1)),
                delta=delta,
                reference_type="transaction",
                reference=payment,
            )
            for _ in range(times)
        )

    for n in range(3):
        world.pay(ident(f"shopper {n}"), ident("shop"), ago(2), "400")
    # Blame weighs by the money at stake; and a hundred words on one payment weigh as one.
    for usd in ("1", "25", "400"):
        judged(f"blamed {usd}", "shopper 0", usd, delta=-1)
    judged("once", "shopper 1", "0.1")
    judged("often", "shopper 1", "0.1", times=100)
    # The same money by one purse, by ten wallets of that purse, and by ten of their own.
    judged("by one", "purse", "10")
    for n in range(10):
        world.fund(ident("purse 2"), ident(f"wallet {n}"), ago(9 - n / 10))
        judged("by wallets of one", f"wallet {n}", "1")
        judged("by ten", f"lone {n}", "1")
    # Money that goes round lifts each by its fees.
    for n in range(3):
        for m in range(3):
            if m != n:
                judged(f"ring {n}", f"ring {m}", "10")
    # Without a purchase elsewhere, itself, a wallet that it filled, and one with its address.
    world.fund(ident("self"), ident("puppet"), ago(9))
    address = {"wallet": "0x0123456789abcdef"}
    world.identities = {ident("self"): address, ident("twin"): {"base": "0x0123456789ABCDEF"}}
    for payer in ("self", "puppet", "twin"):
        judged("self", payer, "50")
    world.load(warehouse)
    scores = sql_scores(warehouse, NOW)
    expected = python_scores(world, NOW)
    for identity, score in scores.items():
        assert vars(score) == pytest.approx(vars(expected[identity]), rel=0, abs=1e-9)

    blamed = [scores[ident(f"blamed {usd}")].evidence for usd in ("1", "25", "400")]
    assert blamed[1] > 4 * blamed[0]
    assert blamed[2] > 2 * blamed[1]
    assert scores[ident("often")].overall == pytest.approx(scores[ident("once")].overall)
    by_one = scores[ident("by one")].evidence
    assert scores[ident("by wallets of one")].evidence == pytest.approx(by_one)
    assert scores[ident("by ten")].evidence < 1.1 * by_one
    # Each of the ring was paid 20 dollars by who buys nowhere else.
    assert scores[ident("ring 0")].evidence < 0.1 * 20 * MODEL.limit_per_usd
    assert (scores[ident("self")].evidence, scores[ident("self")].excluded) == (0, 3)
