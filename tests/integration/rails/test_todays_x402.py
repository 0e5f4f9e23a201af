"""Today's x402 with the real SDK on a real chain: Permit2, `upto`, smart wallets, extensions.

Each payment ends as one confirmed settlement of what was charged, linked to its ledger transfer,
with the protocol and the attributes of its line.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails import settlement_ids
from tests.integration.rails.conftest import NETWORK, Polls
from tests.support.anvil import TREASURY, USDC, Anvil, word
from tests.support.x402_evm import BUYER, RESOURCE, Payments
from tests.support.x402_today import TodaysPayments

PAY_ID = "pay_7d5d747be160e280504c"
RECEIPT = {
    "format": "eip712",
    "payload": {
        "network": NETWORK,
        "resourceUrl": RESOURCE,
        "payer": BUYER,
        "issuedAt": 1795168800,
    },
    "signature": "0x" + "5a" * 65,
}
OFFER = {
    "format": "eip712",
    "payload": {
        "resourceUrl": RESOURCE, "scheme": "exact", "network": NETWORK, "asset": USDC,
        "payTo": TREASURY, "amount": "30000",
    },
    "signature": "0x" + "a5" * 65,
}  # fmt: skip


@dataclass(frozen=True)
class Paid:
    """What one payment should become: payer, units, ceiling where it is another, scheme."""

    payer: str
    units: int
    most: int = 0
    scheme: str = "exact"


@pytest.fixture
def today(payments: Payments, chain: Anvil) -> TodaysPayments:
    chain.mint(BUYER, 50_000_000)
    return TodaysPayments(payments)


def settled(today: TodaysPayments, payload: Any, number: int, charged: int | None = None) -> None:
    """Verifies and settles as a gate does, with a line of each."""
    today.payments.note("verify", payload, {"isValid": True, "payer": BUYER})
    transfer = str(uuid.UUID(int=number))
    answer = today.payments.settle(payload, transaction_id=transfer, charged=charged)
    assert answer["success"], answer


def pay_all(today: TodaysPayments) -> dict[int, Paid]:
    """Pays once by each way; returns what is expected, by the number of the ledger transfer."""
    expected: dict[int, Paid] = {}
    sign: Callable[..., Any] = today.sign

    def pay(payload: Any, paid: Paid, charged: int | None = None) -> None:
        number = len(expected) + 1
        settled(today, payload, number, charged)
        expected[number] = paid

    pay(sign(10_001), Paid(BUYER, 10_001))
    pay(sign(10_002, by_permit2=True), Paid(BUYER, 10_002))
    upto = sign(10_003, scheme="upto")
    pay(upto, Paid(BUYER, 2_503, most=10_003, scheme="upto"), charged=2_503)
    all_of_it = sign(10_004, scheme="upto")
    pay(all_of_it, Paid(BUYER, 10_004, scheme="upto"))
    # A wallet that its first payment makes (ERC-6492), then the same one (EIP-1271), each way.
    wallet = today.wallet(is_deployed=False)
    today.chain.mint(wallet.address.lower(), 1_000_000)
    pay(sign(10_005, signer=wallet), Paid(wallet.address.lower(), 10_005))
    allowance = "0xe1f21c67" + word(USDC) + word("0x22d473030f116ddee9f6b43ac78ba3") + word(2**200)
    today.chain.send(BUYER, wallet.address, allowance)
    made = type(wallet)(wallet.address, is_deployed=True)
    pay(sign(10_006, signer=made), Paid(wallet.address.lower(), 10_006))
    by_permit = sign(10_007, signer=made, by_permit2=True)
    pay(by_permit, Paid(wallet.address.lower(), 10_007))
    today.delegate()  # EIP-7702: the buyer's account has code from here on
    pay(sign(10_008), Paid(BUYER, 10_008))
    pay(sign(10_009, by_permit2=True), Paid(BUYER, 10_009))
    return expected


def test_each_way_to_pay_is_one_settlement(
    polls: Polls, today: TodaysPayments, chain: Anvil
) -> None:
    chain.finalize()
    polls.poll()
    expected = pay_all(today)
    nothing = today.sign(10_010, scheme="upto")
    settled(today, nothing, 99, charged=0)
    for seconds in (0, 3_600, 8 * 24 * 3_600):
        polls.poll()
        chain.pass_time(seconds)
        chain.finalize()
    polls.poll()
    rows = polls.warehouse.records(
        "SELECT * FROM masques_marts.settlements_current WHERE status != 'superseded'"
    )
    links = dict(
        polls.warehouse.rows(
            "SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL"
        )
    )
    assert {r["status"] for r in rows} == {"confirmed"}
    found = {links[r["settlement_id"]].int: r for r in rows}
    assert len(rows) == len(links) == len(found)
    assert {n: paid_of(row) for n, row in found.items()} == expected
    for row in rows:
        said = row["attributes"]
        assert (row["protocol"], said["answer"], said["resource"]) == ("x402", "success", RESOURCE)
        assert said["facilitator_said"] == "success"
    # Nothing else is left: of the announcements by Permit2 each names the row that has its money.
    others = polls.warehouse.rows(
        "SELECT attributes['superseded_by'] FROM masques_marts.settlements_current "
        "WHERE status = 'superseded'"
    )
    by_permit = {str(r["settlement_id"]) for n, r in found.items() if n in (2, 3, 4, 7, 9)}
    assert {each for (each,) in others} == by_permit
    assert len(others) == len(by_permit)
    assert polls.findings() == []
    says = "SELECT state FROM masques_marts.chain_balances"
    assert polls.warehouse.rows(says) == [("agrees",)]
    before = polls.history()
    polls.poll()
    assert polls.history() == before


def paid_of(row: dict[str, Any]) -> Paid:
    units = row["amount"].scaleb(6)
    most = Decimal(row["attributes"].get("amount_max", "0")).scaleb(6)
    return Paid(row["payer"], int(units), int(most), row["attributes"]["scheme"])


def test_extensions_are_kept_with_the_settlement(
    polls: Polls, today: TodaysPayments, chain: Anvil
) -> None:
    other = {**OFFER, "payload": {**OFFER["payload"], "payTo": BUYER}}  # type: ignore[dict-item]
    declared = {
        "payment-identifier": {"info": {"required": False, "id": PAY_ID}, "schema": {}},
        "offer-receipt": {"info": {"version": 1, "offers": [other, OFFER]}},
    }
    receipts = {"offer-receipt": {"info": {"version": 1, "receipt": RECEIPT}}}
    for number, by_permit2 in enumerate((False, True)):
        payload = today.sign(30_000 + number, by_permit2=by_permit2, extensions=declared)
        answer = today.payments.settle(payload, note=False)
        assert answer["success"], answer
        today.payments.note("settle", payload, {**answer, "extensions": receipts})
    chain.finalize()
    polls.poll()
    kept = polls.warehouse.rows(
        "SELECT amount, attributes['payment_identifier'], attributes['offer_sha256'], "
        "attributes['receipt_sha256'], attributes['receipt_at'] "
        "FROM masques_marts.settlements_current WHERE status = 'confirmed' ORDER BY amount"
    )
    digests = [settlement_ids.payload_hash(each) for each in (OFFER, RECEIPT)]
    assert kept == [
        (Decimal(units).scaleb(-6), PAY_ID, *digests, "1795168800") for units in (30_000, 30_001)
    ]
    text = str(polls.history())
    assert "5a5a5a" not in text
    assert "a5a5a5" not in text
