"""What is said of payments: hand-made facts, one run after the other."""

import pytest

from masques_pipelines.reconciliation.breaks import BreakError, open_breaks, write_note
from masques_pipelines.reconciliation.dossier import PaymentError, dossiers
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns.reconciliation import Campaign
from tests.support.payment_facts import AGENT, TREASURY, PaymentFacts, item


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


def test_a_note_quiets_one_break_and_no_other(facts: PaymentFacts) -> None:
    facts.transfer("call", "api_call", "3", 0, trace_id="ab" * 16)
    facts.read_to(90)
    compare_payments(facts.warehouse)
    call = item("call")
    assert write_note(facts.warehouse, call, state="explained", note="a test", by="me") == "gate"
    [explained] = open_breaks(facts.warehouse)
    assert (explained["state"], explained["note"], explained["said_by"]) == (
        "explained",
        "a test",
        "me",
    )
    assert explained["at_risk_usd"] == "3"

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
