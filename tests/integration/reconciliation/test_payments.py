"""What is said of payments: hand-made facts, one run after the other."""

from decimal import Decimal
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from masques_pipelines.errors import SettingError
from masques_pipelines.reconciliation import payments
from masques_pipelines.reconciliation.breaks import BreakError, open_breaks, write_note
from masques_pipelines.reconciliation.checks import (
    CLASSES,
    IN_TIME,
    LOG_AGREES,
    MONEY_IS_THERE,
    Finding,
    check_payments,
)
from masques_pipelines.reconciliation.dossier import PaymentError, dossiers
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.settings import BreakLimit
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease
from tests.campaigns.reconciliation import Campaign
from tests.support.payment_facts import (
    AGENT,
    AUTHOR,
    PLATFORM,
    TREASURY,
    PaymentFacts,
    item,
    moment,
)


@pytest.fixture
def facts(warehouse: Warehouse) -> PaymentFacts:
    made = PaymentFacts(warehouse)
    made.prepare()
    return made


def test_a_payment_matches_on_both_legs(facts: PaymentFacts) -> None:
    facts.transfer("call", "api_call", "2.5", 0)
    facts.request("asked", 1, of="call", charged="2.5")
    facts.transfer("paid in", "deposit", "10", 2, sides=(TREASURY, AGENT))
    facts.settlement("moved", "10", 1, of=["paid in"])
    facts.read_to(5)

    compare_payments(facts.warehouse)

    assert facts.verdicts() == {"call": ("matched", ""), "paid in": ("", "matched")}


def test_a_settlement_that_names_a_purchase_pays_the_deposit_of_its_chain(
    facts: PaymentFacts,
) -> None:
    chain = (
        ("earlier", "deposit", "1", (TREASURY, AGENT), 0),
        ("paid in", "deposit", "10", (TREASURY, AGENT), 1),
        ("call", "api_call", "10", (AGENT, AUTHOR), 1),
        ("fee", "fee", "1", (AUTHOR, PLATFORM), 0),
        ("alone", "api_call", "10", (AGENT, AUTHOR), 0),
    )
    for place, (name, kind, amount, sides, flags) in enumerate(chain):
        timestamp = f"{moment(0)}{place:03}"
        facts.transfer(name, kind, amount, 0, sides=sides, flags=flags, timestamp=timestamp)
    for call in ("call", "alone"):
        facts.request(f"asked {call}", 0, of=call, charged="10")
        facts.settlement(f"moved {call}", "10", 1, of=[call])
    facts.read_to(5)
    compare_payments(facts.warehouse)
    said = {
        "earlier": ("", "expected"),
        "paid in": ("", "matched"),
        "call": ("matched", ""),
        "alone": ("matched", "unbooked_settlement"),
    }
    assert facts.verdicts() == said
    # A later revision touches the settlement alone.
    facts.settlement("moved call", "10", 1, status="failed")
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {**said, "paid in": ("", "settlement_failed")}
    compare_payments(facts.warehouse, full=True)
    assert facts.verdicts() == {**said, "paid in": ("", "settlement_failed")}


def test_a_break_closes_and_opens_again(facts: PaymentFacts) -> None:
    facts.transfer("paid in", "deposit", "10", 0, sides=(TREASURY, AGENT))
    facts.read_to(30)
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {"paid in": ("", "expected")}

    # The ledger alone was read past the deadline: the rail may have it.
    facts.read_to(90, only="ledger")
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {"paid in": ("", "expected")}

    facts.read_to(90)
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {"paid in": ("", "unsettled_transfer")}

    facts.settlement("moved", "10", 1, of=["paid in"])
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {"paid in": ("", "matched")}
    assert _breaks(facts) == []

    facts.settlement("moved", "10", 1, status="failed", failure_reason="reorged_out")
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {"paid in": ("", "settlement_failed")}
    assert _breaks(facts) == [("paid in", "rail", "settlement_failed", 2, "reorged_out")]
    history = facts.warehouse.rows(
        "SELECT classes, times, closed_as FROM masques_marts.break_history ORDER BY opened_at"
    )
    assert history == [(["unsettled_transfer"], 1, "matched"), (["settlement_failed"], 2, "")]


def _breaks(facts: PaymentFacts) -> list[tuple[object, ...]]:
    return [
        (facts.names[row[0]], *row[1:])
        for row in facts.warehouse.rows(
            "SELECT item_id, leg, class, times, reason FROM masques_marts.breaks ORDER BY at"
        )
    ]


def test_damaged_runs_are_made_good(warehouse: Warehouse) -> None:
    campaign = Campaign(warehouse, seed=1)
    campaign.run(3)
    said = campaign.said()
    assert said
    assert said == campaign.recomputed()


_NOT_ONCE = """
SELECT count() FROM (
    SELECT sum(sign) AS net FROM masques_ops.payments_log GROUP BY item_id, content
    HAVING net NOT IN (0, 1))
"""


@pytest.mark.parametrize("rows", [15, 2_000_000])
def test_a_statement_that_is_sent_twice_counts_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """As when the answer to the first was lost, of every statement of a run."""
    monkeypatch.setattr(payments, "PART_ROWS", rows)
    campaign = Campaign(warehouse, seed=3)
    run_step = payments._Run._run_step  # noqa: SLF001

    def twice(run: Any, name: str, **parameters: Any) -> None:
        run_step(run, name, **parameters)
        run_step(run, name, **parameters)

    with monkeypatch.context() as changed:
        changed.setattr(payments._Run, "_run_step", twice)  # noqa: SLF001
        for number in range(7):
            campaign._add_facts(number)  # noqa: SLF001
            compare_payments(warehouse, full=number % 3 == 0)
            assert warehouse.scalar(_NOT_ONCE) == 0
            said = campaign.said()
    assert len(said) > 5
    assert said == campaign.recomputed()


def test_parts_say_what_one_piece_says(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = Campaign(warehouse, seed=2)
    for number in range(40):
        campaign._add_facts(number)  # noqa: SLF001
    in_one = campaign.recomputed()
    assert len(in_one) > 40
    monkeypatch.setattr(payments, "PART_ROWS", 15)
    assert campaign.recomputed() == in_one


_IDS = """
INSERT INTO masques.transactions (transaction_id, timestamp, event_type)
SELECT reinterpretAsUUID({id}), toDateTime64({{at:String}}, 9, 'UTC') + toIntervalSecond(number),
    'single_phase'
FROM numbers(1000)
"""


@pytest.mark.parametrize(
    ("ids", "parts", "largest"),
    [
        ("toUInt128(number)", 11, 91),  # a time, in the first half of an id
        ("bitShiftLeft(toUInt128(number), 64)", 11, 91),  # counted from 0
        ("sipHash128(number)", 11, 91),
        ("toUInt128(7)", 2, 1000),  # of one payment alone
    ],
)
def test_parts_have_each_id_once(
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    ids: str,
    parts: int,
    largest: int,
) -> None:
    warehouse.command(_IDS.format(id=ids), {"at": moment(0)})
    monkeypatch.setattr(payments, "PART_ROWS", 100)
    found = payments._Run(warehouse, Lease("test", 1))._parts(1000)  # noqa: SLF001
    ends = [-1, *(each["last_id"] for each in found)]
    assert [each["first_id"] for each in found] == [end + 1 for end in ends[:-1]]
    assert (len(found), ends[-1]) == (parts, 2**128 - 1)
    held = [
        warehouse.scalar(
            "SELECT count() FROM masques.transactions WHERE toUInt128(transaction_id) "
            "BETWEEN {first_id:UInt128} AND {last_id:UInt128}",
            each,
        )
        for each in found
    ]
    assert (sum(held), max(held)) == (1000, largest)


def test_a_note_quiets_one_break_and_no_other(facts: PaymentFacts) -> None:
    facts.transfer("call", "api_call", "3", 0, trace_id="ab" * 16)
    facts.read_to(90)
    compare_payments(facts.warehouse)
    assert not _unexplained(facts).passed
    assert not _unexplained(facts, BreakLimit("unexplained_charge", 1, Decimal("2.99"), 9)).passed
    assert _unexplained(facts, BreakLimit("unexplained_charge", 1, Decimal(3), 9)).passed
    with pytest.raises(SettingError, match="MASQUES_BREAK_LIMITS: 'odd' is not a class"):
        _unexplained(facts, BreakLimit("odd", 1, Decimal(3), 9))
    call = item("call")
    assert write_note(facts.warehouse, call, state="explained", note="a test", by="me") == "gate"
    [explained] = open_breaks(facts.warehouse)
    assert (explained["state"], explained["note"], explained["said_by"]) == (
        "explained",
        "a test",
        "me",
    )
    assert explained["at_risk_usd"] == "3"
    assert _unexplained(facts).passed

    facts.request("asked", 1, of="call", charged="2")
    compare_payments(facts.warehouse)
    [other] = open_breaks(facts.warehouse)
    assert (other["class"], other["at_risk"], other["state"]) == ("amount_mismatch", "1", "open")

    [dossier] = dossiers(facts.warehouse, "ab" * 16)
    assert dossier.item_id == str(call)
    assert [(event["source"], event["what"]) for event in dossier.events] == [
        ("ledger", "single_phase"),
        ("gate", "request"),
        ("reconciliation", "compared"),
        ("note of me", "gate explained"),
        ("reconciliation", "compared"),
    ]
    assert dossiers(facts.warehouse, str(item("asked"))) == [dossier]
    with pytest.raises(PaymentError, match="no request, transfer, session or settlement"):
        dossiers(facts.warehouse, "nothing")
    with pytest.raises(BreakError, match="has no open break"):
        write_note(facts.warehouse, item("other"), state="explained", note="why", by="me")


def _unexplained(facts: PaymentFacts, *limits: BreakLimit) -> Finding:
    found = check_payments(facts.warehouse, limits)
    return next(each for each in found if each.name == "unexplained_charge")


def test_a_comparison_of_everything_says_what_was_missed(facts: PaymentFacts) -> None:
    assert not _log_agrees(facts).passed  # nothing was compared yet
    facts.transfer("call", "api_call", "3", 0)
    facts.request("asked", 1, of="call", charged="3")
    facts.read_to(90)
    compare_payments(facts.warehouse)
    first = _log_agrees(facts)
    assert first.passed
    assert first.text.startswith("inconclusive: ")
    # A row that vanishes is not new.
    facts.warehouse.command("TRUNCATE TABLE masques.api_requests")
    facts.transfer("other", "api_call", "3", 80)
    compare_payments(facts.warehouse)
    assert facts.verdicts()["call"] == ("matched", "")
    compare_payments(facts.warehouse, full=True)
    assert facts.verdicts()["call"] == ("unexplained_charge", "")
    missed = _log_agrees(facts)
    assert [(row["item_id"], row["gate"], row["net"]) for row in missed.rows] == [
        (str(item("call")), "matched", -1),
        (str(item("call")), "unexplained_charge", 1),
    ]
    assert facts.warehouse.scalar("SELECT uniqExact(generation) FROM masques_ops.breaks_log") == 1

    compare_payments(facts.warehouse, full=True)
    agrees = _log_agrees(facts)
    assert agrees.passed
    assert agrees.text.endswith("(asked): 0 rows corrected")
    facts.warehouse.command("TRUNCATE TABLE masques_ops.payments_log")
    compare_payments(facts.warehouse)
    assert _breaks(facts) == [("call", "gate", "unexplained_charge", 1, "")]
    [damaged] = _log_agrees(facts).rows
    assert damaged["problem"].startswith("the log was not what the last run had left")


def _log_agrees(facts: PaymentFacts) -> Finding:
    [found] = [each for each in check_payments(facts.warehouse) if each.name == LOG_AGREES]
    return found


def test_money_that_moved_unseen_is_named_by_the_next_run(facts: PaymentFacts) -> None:
    facts.balance("0", 1)
    facts.transfer("paid in", "deposit", "10", 2, sides=(TREASURY, AGENT))
    facts.books("10")
    facts.read_to(5)
    compare_payments(facts.warehouse)
    # On its way: the ledger has it, and the rail not yet.
    assert _position(facts) == ("unread", "-10", "-10", "0", "0", "0")

    facts.settlement("moved", "10", 3, of=["paid in"], asset="usdc", to_address="ours")
    facts.balance("10", 4)
    compare_payments(facts.warehouse)
    assert _position(facts) == ("proved", "0", "0", "0", "0", "0")
    seen_at = str(facts.warehouse.scalar("SELECT toString(now64(6, 'UTC'))"))

    facts.balance("9.999999", 6)
    compare_payments(facts.warehouse)
    assert _position(facts) == ("differs", "0", "0", "0", "-0.000001", "0.000001")
    [found] = [each for each in check_payments(facts.warehouse) if each.name == MONEY_IS_THERE]
    assert [(each["asset"], each["sides"]) for each in found.rows] == [
        ("USD", "base  usdc block 6: differs -0.000001")
    ]
    assert _position(facts, f"position_at(as_of = '{seen_at}')")[0] == "proved"


def test_a_network_that_is_no_longer_read_is_shown_and_not_counted_as_there(
    facts: PaymentFacts,
) -> None:
    facts.balance("0", 1)
    facts.balance("0", 1, "eip155:137")
    facts.transfer("paid in", "deposit", "10", 2, sides=(TREASURY, AGENT))
    facts.books("10")
    facts.settlement("moved", "10", 3, of=["paid in"], asset="usdc", to_address="ours")
    facts.balance("10", 4)
    facts.balance("0", 4, "eip155:137")
    facts.read_to(5)
    facts.rail_run("", "eip155:137")
    compare_payments(facts.warehouse)
    assert _position(facts) == ("proved", "0", "0", "0", "0", "0")

    # The money went to Polygon, and then Polygon was taken out of the settings.
    facts.balance("4", 7, "eip155:137")
    facts.balance("6", 7)
    before = facts.warehouse.rows(_SIDES)
    assert [each.rsplit(" ", 2)[-2] for each in before[0][1]] == ["differs", "differs"]
    assert before[0][0] == 10
    facts.rail_run("")
    ((on_rails, sides),) = facts.warehouse.rows(_SIDES)
    assert on_rails == 6
    assert [each.split(": ", 1)[1] for each in sides] == [
        sides[0].split(": ", 1)[1],
        f"no longer read since {moment(7)[:19]}, had 4",
    ]
    compare_payments(facts.warehouse)
    state, *_, uncovered = _position(facts)
    assert (state, uncovered) == ("differs", "4")


_SIDES = "SELECT on_rails, sides FROM masques_ops.position_now WHERE asset = 'USD'"


def _position(facts: PaymentFacts, view: str = "position") -> tuple[str, ...]:
    [row] = facts.warehouse.rows(
        "SELECT state, toString(unbooked), toString(in_time), toString(broken), "
        f"toString(moved_unseen), toString(uncovered) FROM masques_marts.{view} WHERE asset = 'USD'"
    )
    return tuple(str(each) for each in row)


def _book_the_day(facts: PaymentFacts) -> None:
    """One payment of each kind and each class."""
    ok = {"of": None, "charged": "3"}
    for name in ("served", "failed call", "dear", "stolen", "unknown call", "given back", "rides"):
        facts.transfer(name, "api_call", "3", len(facts.names))
    facts.request("r1", 1, **{**ok, "of": "served"})
    facts.request("r2", 1, of="failed call", status_code=500)
    facts.request("r3", 1, of="dear", charged="4")
    facts.request("r4", 1, **{**ok, "of": "stolen"}, identity_id=str(item("thief")))
    facts.request("r5", 1, of="unknown call", payment_status="unknown")
    facts.request("r6", 1, of="given back", status_code=500)
    facts.transfer("refund", "refund", "3", 30, sides=(AUTHOR, AGENT))
    facts.refund("refund", "given back", 30)
    facts.request("r7", 2, of="rides", charged="3")
    facts.request("r8", 3, of="rides", charged="0")
    facts.request("r9", 4, of="lost booking", charged="2")
    facts.request("r10", 5, charged="2", charged_currency="USD")
    facts.transfer("charge", "api_call", "3", 40)
    for name, end, amount in (
        ("worn", "two_phase_posted", "2"),
        ("unused", "two_phase_voided", "5"),
        ("slipped", "two_phase_expired", "5"),
        ("frozen", "", "5"),
    ):
        at = 50.0 + len(facts.names)
        facts.transfer(
            name, "masque_session", "5", at, event_type="two_phase_pending", timeout_s=60
        )
        if end:
            facts.transfer(
                f"end of {name}", "masque_session", amount, at + 1, event_type=end, pending=name
            )
        facts.session(f"session {name}", name, at, doffed=at + 1, charged=amount)


def _move_the_money(facts: PaymentFacts) -> None:
    """Deposits and payouts, settled in all ways."""
    names = ("in", "twice", "short", "other coin", "reversed", "one of two", "two of two", "parts")
    for name in names:
        facts.transfer(name, "deposit", "10", 100 + len(facts.names), sides=(TREASURY, AGENT))
    facts.transfer("out", "settlement", "10", 150, sides=(AUTHOR, TREASURY))
    facts.transfer("wrong way", "settlement", "10", 151, sides=(AUTHOR, TREASURY))
    facts.settlement("s1", "10", 120, of=["in"])
    facts.settlement("s2", "10", 120, of=["twice"])
    facts.settlement("s3", "10", 121, of=["twice"])
    facts.settlement("s4", "9.999999", 120, of=["short"])
    facts.settlement("s5", "10", 120, of=["other coin"], currency="DAI")
    facts.settlement("s6", "10", 120, of=["reversed"])
    facts.settlement("s7", "20", 120, of=["one of two", "two of two"])
    facts.settlement("s8", "4", 120, of=["parts"])
    facts.settlement("s9", "6", 121, of=["parts"])
    facts.settlement("s10", "10", 152, of=["out"], direction="out")
    facts.settlement("s11", "10", 152, of=["wrong way"])
    facts.settlement("found money", "7", 130)
    facts.settlement("announced", "7", 130, status="unknown", attributes={"closed": "yes"})


def test_one_day_with_every_class(facts: PaymentFacts, snapshot: SnapshotAssertion) -> None:
    _book_the_day(facts)
    _move_the_money(facts)
    facts.transfer("comes late", "deposit", "10", 2000, sides=(TREASURY, AGENT))
    facts.read_to(3000)
    compare_payments(facts.warehouse)
    first = _day(facts)
    seen_at = str(facts.warehouse.scalar("SELECT toString(now64(6, 'UTC'))"))
    known = [_known_at(facts, view, seen_at) for view in _AT_A_TIME]
    assert all(known)

    facts.request("late", 41, of="charge", charged="3")
    facts.settlement("s6", "10", 120, status="failed", failure_reason="reorged_out")
    facts.link("s3", "twice", withdrawn=True)
    facts.link("found money", "frozen")
    facts.settlement("s12", "10", 2001, of=["comes late"])
    compare_payments(facts.warehouse)
    second = _day(facts)
    # After it was final.
    facts.settlement("s12", "10", 2001, status="failed", failure_reason="reorged_out")
    compare_payments(facts.warehouse)
    third = _day(facts)

    told = [*first, "", "then", *_new(second, first), "", "at last", *_new(third, second)]
    assert "\n".join([*told, "", "its breaks", *_lives(facts, "comes late")]) == snapshot
    classes = {name for (name,) in facts.warehouse.rows(_CLASSES_EVER)}
    assert classes == set(CLASSES)
    # What was known yesterday is what was known.
    assert [_known_at(facts, view, seen_at) for view in _AT_A_TIME] == known
    assert _day(facts, f"payments_at(as_of = '{seen_at}')") == first


_AT_A_TIME = ("payments_at", "breaks_at", "break_history_at", "position_at")
_CLASSES_EVER = "SELECT DISTINCT arrayJoin(classes) FROM masques_marts.break_history"
_WORD_OF_NO_CLASS = """
INSERT INTO masques_ops.breaks_log SELECT * REPLACE (
    'brand_new' AS rail, reinterpretAsFixedString(toUInt128(1)) AS content)
FROM masques_ops.breaks_log
"""


def test_each_class_has_a_check_a_severity_and_advice(facts: PaymentFacts) -> None:
    rows = facts.warehouse.rows(
        "SELECT class, severity, what_to_do FROM masques_marts.break_classes"
    )
    assert [name for name, _, _ in rows] == list(CLASSES)
    assert {severity for _, severity, _ in rows} == {"critical", "major", "minor"}
    assert all(advice for _, _, advice in rows)
    sound = [w for (w,) in facts.warehouse.rows("SELECT verdict FROM masques_ops.sound_verdicts")]
    assert not set(sound) & set(CLASSES)


def test_a_word_of_no_class_is_a_break(facts: PaymentFacts) -> None:
    facts.transfer("paid in", "deposit", "10", 0, sides=(TREASURY, AGENT))
    facts.read_to(90)
    compare_payments(facts.warehouse)
    assert next(c for c in check_payments(facts.warehouse) if c.name == IN_TIME).passed
    facts.warehouse.command(_WORD_OF_NO_CLASS)
    assert [leg for _, leg, _, _, _ in _breaks(facts)] == ["rail", "rail"]
    assert [each["class"] for each in open_breaks(facts.warehouse)][-1] == "brand_new"
    overdue = next(c for c in check_payments(facts.warehouse) if c.name == IN_TIME)
    assert [each["class"] for each in overdue.rows] == ["brand_new"]


def _known_at(facts: PaymentFacts, view: str, as_of: str) -> list[tuple[object, ...]]:
    return sorted(
        facts.warehouse.rows(f"SELECT * FROM masques_marts.{view}(as_of = '{as_of}')"), key=repr
    )


def _new(now: list[str], before: list[str]) -> list[str]:
    return sorted(set(now) - set(before))


def _lives(facts: PaymentFacts, name: str) -> list[str]:
    rows = facts.warehouse.rows(
        "SELECT leg, classes, times, closed_as FROM masques_marts.break_history "
        f"WHERE item_id = '{item(name)}' ORDER BY opened_at"
    )
    return [
        f"{leg} {classes} number {times}, then {closed or '-'}"
        for leg, classes, times, closed in rows
    ]


def test_requests_that_are_past_retention_make_no_break(facts: PaymentFacts) -> None:
    """A call and its request each day of 13 months; then the requests of the first one are gone."""
    days, day = 395, 1440
    calls = {f"call {number}": number * day for number in range(days)}
    facts.calls(calls, "3")
    facts.requests_of(calls, "3")
    facts.transfer("paid in", "deposit", "10", 5 * day, sides=(TREASURY, AGENT))
    facts.settlement("moved", "10", 5 * day, of=["paid in"])
    facts.read_to(100 * day)
    compare_payments(facts.warehouse)
    matched = facts.verdicts()
    assert set(matched.values()) == {("matched", ""), ("", "matched")}

    facts.warehouse.command("TRUNCATE TABLE masques.api_requests")
    kept = {name: at for name, at in calls.items() if at >= (days - 365) * day}
    facts.requests_of(kept, "3")
    facts.read_to(days * day)
    # Facts of today about payments of then: the rail is judged, the gate keeps what was said.
    facts.transfer("refund", "refund", "3", days * day - 10, sides=(AUTHOR, AGENT))
    facts.refund("refund", "call 3", days * day - 10)
    facts.settlement("moved", "10", 5 * day, status="failed", failure_reason="reorged_out")
    compare_payments(facts.warehouse)
    assert facts.verdicts() == {**matched, "paid in": ("", "settlement_failed")}
    compare_payments(facts.warehouse, full=True)
    assert facts.verdicts() == {**matched, "paid in": ("", "settlement_failed")}


def _day(facts: PaymentFacts, view: str = "payments") -> list[str]:
    rows = facts.warehouse.rows(
        "SELECT item_id, gate, toString(gate_risk), rail, toString(rail_risk), state, "
        f"toString(settled), reason FROM masques_marts.{view} ORDER BY at, item_id"
    )
    return [
        f"{facts.names[item_id]:<14} {state:<8} gate {gate or '-'} {gate_risk}, "
        f"rail {rail or '-'} {rail_risk}, settled {settled} {reason}".rstrip()
        for item_id, gate, gate_risk, rail, rail_risk, state, settled, reason in rows
    ]
