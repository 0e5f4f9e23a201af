"""Lightning believes no single answer: items, hashes, states, paging, times and mutations."""

import random
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.lightning import node as lnd_node_module
from masques_pipelines.rails.lightning import rail as lightning
from masques_pipelines.rails.lightning.rail import CAIP2, LightningRail
from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    FetchResult,
    Observation,
    OpenSettlement,
    RailRefusedError,
)
from masques_pipelines.rails.settlement_ids import lightning_payment
from tests.support.fake_lnd import PUBKEY, FakeLnd, payment_hash
from tests.support.spoiled_nodes import Spoil, lnd_node, truth

NOW_S = int(time.time()) - 86_400
MAINNET = CAIP2["mainnet"]


@pytest.fixture
def lnd() -> FakeLnd:
    return FakeLnd(NOW_S)


def rail_of(
    lnd: FakeLnd, spoil: Spoil = truth, known: Sequence[OpenSettlement] = ()
) -> LightningRail:
    ordered = sorted(known, key=lambda each: str(each.settlement_id))

    def open_settlements(*, after: str = "", limit: int = 0) -> Sequence[OpenSettlement]:
        behind = [each for each in ordered if str(each.settlement_id) > after]
        before = [each for each in ordered if str(each.settlement_id) <= after]
        return [*behind, *before][:limit]

    return LightningRail(lnd_node(lnd, spoil), "mainnet", open_settlements)


def run(rail: LightningRail, cursor: Any = None) -> list[FetchResult]:
    fetched = [rail.fetch(cursor)]
    while not fetched[-1].is_caught_up:
        assert len(fetched) < 200
        fetched.append(rail.fetch(fetched[-1].cursor))
    return fetched


def found(fetched: Sequence[FetchResult]) -> list[tuple[str, str, str]]:
    """Status, reason and direction of what was observed last of each settlement."""
    last = {o.settlement_id: o for each in fetched for o in each.observations}
    return sorted((o.status, o.failure_reason, o.direction) for o in last.values())


def announced(
    reference: str, *, deadline_s: int | None, direction: Any = "in", finality: str = ""
) -> OpenSettlement:
    latest = Observation(
        settlement_id=lightning_payment(reference, "out" if direction == "out" else ""),
        source="chain" if finality else "intent",
        rail="lightning",
        network=MAINNET,
        direction=direction,
        status="pending",
        amount=Decimal("0.0000001"),
        currency="BTC",
        timestamp_ns=NOW_S * 10**9,
        payment_ref=reference,
        tx_hash=reference,
        finality=finality,
        attributes={DEADLINE: str(deadline_s), ANSWER: "success"},
    )
    return OpenSettlement(latest, deadline_s)


def pay(lnd: FakeLnd, name: str, msat: int) -> None:
    lnd.add(name, msat)
    lnd.hold(name, msat)
    lnd.settle(name)


UNREADABLE: dict[str, dict[str, Any]] = {
    "no accept time": {"htlcs": [{"state": "ACCEPTED", "amt_msat": None}]},
    "no amount": {"amt_paid_msat": None},
    "5,000 digits": {"amt_paid_msat": "9" * 5_000},
    "no hash": {"r_hash": "abc"},
    "no time": {"settle_date": "0", "creation_date": "0"},
    "a state of another type": {"state": 7},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_one_unreadable_invoice_is_a_finding_and_the_rest_goes_on(lnd: FakeLnd, name: str) -> None:
    for each in ("first", "bad", "last"):
        pay(lnd, each, 1_000)
    bad = lnd.of("bad")["add_index"]

    def spoil(path: str, _asked: Any, answer: Any) -> Any:
        if path != "/v1/invoices":
            return answer
        invoices = [
            {**each, **UNREADABLE[name]} if each["add_index"] == bad else each
            for each in answer["invoices"]
        ]
        return {**answer, "invoices": invoices}

    fetched = run(rail_of(lnd, spoil))
    assert found(fetched) == [("confirmed", "", "in")] * 2
    assert len([each for f in fetched for each in f.rejected]) >= 1
    assert {each.kind for f in fetched for each in f.findings} == {"unreadable"}
    assert fetched[-1].cursor["added"] == 3


def test_a_payment_without_its_time_takes_the_other_time(lnd: FakeLnd) -> None:
    lnd.pay("one", 5_000, "SUCCEEDED", creation_time_ns="0")
    (fetched,) = run(rail_of(lnd))
    assert [each.timestamp_ns for each in fetched.observations] == [NOW_S * 10**9]
    lnd.pay("two", 5_000, "SUCCEEDED", creation_time_ns="0", creation_date="0")
    (fetched,) = run(rail_of(lnd))
    assert [each.reason for each in fetched.rejected] == ["unreadable:item"]


@pytest.mark.parametrize("reference", ["abc", "../../v1/getinfo", "r3y+Q==", "²" * 64, ""])
def test_a_hash_that_is_none_is_that_payment_s_problem(lnd: FakeLnd, reference: str) -> None:
    pay(lnd, "real", 1_000)
    known = [announced(reference, deadline_s=NOW_S - 1)]
    (fetched,) = run(rail_of(lnd, known=known))
    assert found([fetched]) == [
        ("confirmed", "", "in"),
        ("unknown", "not_a_payment_hash", "in"),
    ]
    assert not [each for each in lnd.requests if each.startswith("/v1/invoice/")]


def test_a_node_that_cannot_read_one_hash_still_answers_the_rest(lnd: FakeLnd) -> None:
    def spoil(path: str, _asked: Any, answer: Any) -> Any:
        if path == "/v1/invoices":
            gone = [each for each in answer["invoices"] if each["state"] == "CANCELED"]
            return {"invoices": [each for each in answer["invoices"] if each not in gone]}
        return {"r_hash": 7} if path.startswith("/v1/invoice/") else answer

    lnd.add("gone", 1_000)
    lnd.cancel("gone")
    pay(lnd, "real", 1_000)
    known = [announced(payment_hash("gone"), deadline_s=NOW_S - 1)]
    (fetched,) = run(rail_of(lnd, spoil, known))
    assert found([fetched]) == [("confirmed", "", "in"), ("unknown", "unreadable", "in")]


def test_an_unknown_state_is_unknown(lnd: FakeLnd) -> None:
    pay(lnd, "paid", 1_000)
    lnd.of("paid")["state"] = "ARCHIVED"
    lnd.add("sets", 0, is_amp=True)
    lnd.pay_set("sets", "aa" * 32, 5_000, state="ARCHIVED")
    lnd.pay("out", 5_000, "ARCHIVED")
    assert found(run(rail_of(lnd))) == [
        ("unknown", "unknown_invoice_state", "in"),
        ("unknown", "unknown_invoice_state", "in"),
        ("unknown", "unknown_payment_state", "out"),
    ]


def test_a_payment_that_is_deleted_in_flight_does_not_stay_pending(lnd: FakeLnd) -> None:
    lnd.pay("slow", 50_000)
    cursor = run(rail_of(lnd))[-1].cursor
    lnd.payments.clear()
    known = [
        announced(payment_hash("slow"), deadline_s=None, direction="out", finality="accepted"),
        announced(payment_hash("never"), deadline_s=NOW_S - 1, direction="out"),
        announced(payment_hash("soon"), deadline_s=NOW_S + 1, direction="out"),
    ]
    assert found(run(rail_of(lnd, known=known), cursor)) == [
        ("unknown", "payment_deleted", "out"),
        ("unknown", "payment_not_found", "out"),
    ]


def test_the_receiver_is_that_of_the_attempt_that_succeeded(lnd: FakeLnd) -> None:
    def attempt(status: str, key: str) -> dict[str, Any]:
        hops = [{"pub_key": "02" + "00" * 32}, {"pub_key": key}]
        return {
            "status": status,
            "route": {"hops": hops},
            "resolve_time_ns": str(NOW_S * 10**9 + 7),
        }

    good, bad = "03" + "ab" * 32, "03" + "cd" * 32
    htlcs = [attempt("FAILED", bad), attempt("SUCCEEDED", good)]
    lnd.pay("out", 5_000, "SUCCEEDED", htlcs=htlcs)
    (fetched,) = run(rail_of(lnd))
    assert [(o.to_address, o.timestamp_ns) for o in fetched.observations] == [
        (good, NOW_S * 10**9 + 7)
    ]


def test_announcements_that_never_end_keep_no_other_waiting(
    lnd: FakeLnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightning, "OPEN_MAX", 2)
    monkeypatch.setattr(lightning, "ANNOUNCED_PORTIONS_MAX", 1)
    never = [announced(f"{number:064x}", deadline_s=2**70) for number in range(1, 8)]
    victims = [announced(f"{number:064x}", deadline_s=NOW_S - 1) for number in (98, 99)]
    lnd.now_s = NOW_S + 10
    cursor: Any = None
    ended = set()
    for _ in range(-(-9 // 2)):
        (fetched,) = run(rail_of(lnd, known=[*never, *victims]), cursor)
        cursor = fetched.cursor
        ended |= {o.payment_ref for o in fetched.observations if o.status == "unknown"}
    assert ended == {each.latest.payment_ref for each in victims}


def test_expired_challenges_cost_pages_and_no_request_of_their_own(
    lnd: FakeLnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 3_000
    for number in range(count):
        lnd.add(f"n{number}", 1_000)
    known = [announced(payment_hash(f"n{n}"), deadline_s=NOW_S + 600) for n in range(0, count, 2)]
    cursor = run(rail_of(lnd, known=known))[-1].cursor
    assert len(str(cursor)) < 1_500  # no invoice stays in it beyond the oldest hundred
    lnd.now_s += 4_000
    for number in range(count):
        lnd.cancel(f"n{number}")
    lnd.requests.clear()
    fetched = run(rail_of(lnd, known=known), cursor)
    assert found(fetched) == [("failed", "invoice_expired", "in")] * (count // 2)
    assert len(lnd.requests) <= 25
    assert not [each for each in lnd.requests if each.startswith("/v1/invoice/")]
    lnd.requests.clear()
    run(rail_of(lnd), fetched[-1].cursor)
    # Identity, two times the six of the balance, and a page each of the four lists.
    assert len(lnd.requests) == 17


def test_pages_of_payments_forwards_and_invoices_are_bounded_and_linear(
    lnd: FakeLnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lnd_node_module, "PAGE", 10)
    calls = {}
    for count in (100, 200, 400):
        for number in range(len(lnd.payments), count):
            lnd.pay(f"out{number}", 1_000, "SUCCEEDED")
            pay(lnd, f"in{number}", 1_000)
        lnd.requests.clear()
        fetched = run(rail_of(lnd))
        assert max(len(each.observations) for each in fetched) <= 2 * 10 * lightning.PAGES_PER_FETCH
        assert len(found(fetched)) == 2 * count
        calls[count] = len(lnd.requests)
    assert calls[400] <= 4 * calls[100]


def test_old_open_invoices_are_found_when_they_are_paid(
    lnd: FakeLnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lnd_node_module, "PAGE", 10)
    monkeypatch.setattr(lightning, "OLD_OPEN_MAX", 3)
    chance = random.Random(7)
    names = [f"n{number}" for number in range(60)]
    cursor, open_names, paid = None, [], 0
    last: dict[Any, str] = {}
    for name in names:
        lnd.add(name, 1_000)
        open_names.append(name)
        chance.shuffle(open_names)
        if chance.random() < 0.6:
            one = open_names.pop()
            if chance.random() < 0.5:
                lnd.hold(one, 1_000)
                lnd.settle(one)
                paid += 1
            else:
                lnd.cancel(one)
        fetched = run(rail_of(lnd), cursor)
        last |= {o.settlement_id: o.status for f in fetched for o in f.observations}
        cursor = fetched[-1].cursor
    assert sorted(last.values()) == ["confirmed"] * paid


def test_another_node_is_refused(lnd: FakeLnd) -> None:
    cursor = run(rail_of(lnd))[-1].cursor

    def spoil(path: str, _asked: Any, answer: Any) -> Any:
        return {**answer, "identity_pubkey": "03" * 33} if path == "/v1/getinfo" else answer

    with pytest.raises(RailRefusedError, match="give MASQUES_LND_URL the node of before"):
        run(rail_of(lnd, spoil), cursor)


def test_the_balance_is_of_one_time_and_has_its_lines(lnd: FakeLnd) -> None:
    lnd.forwards += [7, 8]
    lnd.transactions.append({"amount": "-300", "total_fees": "12", "label": ""})
    lnd.transactions.append({"amount": "-100", "total_fees": "9", "label": "0:openchannel:x"})
    (fetched,) = run(rail_of(lnd))
    assert {each.line: (each.balance, each.is_flow) for each in fetched.balances} == {
        "channels": (Decimal("10.00000000015"), False),
        "channels_unsettled": (0, False),
        "channels_opening": (0, False),
        "channels_closing": (0, False),
        "commit_fee": (0, False),
        "wallet": (Decimal("0.04989600"), False),
        "reserve": (Decimal("0.0001"), False),
        "on_chain": (Decimal("-0.000003"), True),
        "channel_fees": (Decimal("-0.00000009"), True),
        "forward_fees": (Decimal("0.00000000015"), True),
        "after_0_closed_channels": (0, False),
    }
    assert {(each.read_at_ns, each.address) for each in fetched.balances} == {
        (NOW_S * 10**9 - 1, PUBKEY)
    }
    assert fetched.read_to_ns == NOW_S * 10**9
    pay(lnd, "now", 1_000)  # in the same second: which side of the reading is not known
    (fetched,) = run(rail_of(lnd))
    assert (fetched.balances, fetched.notes["balance_moved"]) == ([], 1)
    lnd.now_s += 10
    assert len(run(rail_of(lnd))[-1].balances) == 11
