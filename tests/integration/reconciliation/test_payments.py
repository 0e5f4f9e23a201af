"""What is said of payments: hand-made facts, one run after the other."""

import pytest

from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.warehouse.client import Warehouse
from tests.support.payment_facts import AGENT, AUTHOR, TREASURY, PaymentFacts


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
