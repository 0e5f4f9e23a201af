"""Payments that are not followed to the chain, on a real one: never failed, nor a contradiction.

Permit2, `upto`, batch-settlement, Circle Gateway and MPP, each with what the chain then has of it:
the charged amount counts, not the ceiling, and nothing of it is a signal for reputation.
"""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.campaigns.journal_lines import (
    accepted,
    encoded,
    gateway,
    mpp,
    permitted,
    sample,
    voucher,
)
from tests.integration.rails.conftest import Polls
from tests.support.anvil import TREASURY, USDC, Anvil, word
from tests.support.x402_evm import RESOURCE, Payments

PAYER, ESCROW, PROXY = "0xab" + "0" * 38, "0xe5" + "c" * 38, "0x4d" + "e" * 38
V = "01a0c585-9507-834d-92e8-2f4abd4609b6"
NEVER = "0x" + "2" * 64
HOUR_S = 3_600
# What each case ends as: status and units of each settlement, and how many are linked to V.
Ends = tuple[list[tuple[str, str, int]], int]
Case = Callable[[Anvil, Payments], None]


@pytest.fixture(autouse=True)
def _funded(chain: Anvil) -> None:
    for each in (PAYER, ESCROW, PROXY):
        chain.rpc("anvil_impersonateAccount", each)
        chain.rpc("anvil_setBalance", each, hex(10**18))
        chain.mint(each, 1_000_000)
    chain.send(PAYER, USDC, "0x095ea7b3" + word(PROXY) + word(10**12))  # approve


def note(
    payments: Payments, chain: Anvil, payload: dict[str, Any], answer: Any, event: str = "settle"
) -> None:
    signed = payload["payload"].get("permit2Authorization")
    if signed:
        signed["deadline"] = str(chain.time_s + 60)
        signed["nonce"] = str(uuid.uuid4().int)
    payments.write(
        {
            "recorded_at": chain.time_s,
            "event": event,
            "request": {
                "paymentPayload": {**payload, "resource": {"url": RESOURCE}},
                "paymentRequirements": payload["accepted"],
            },
            "response": answer,
            "transaction_id": V,
        }
    )


def permit2(scheme: str, moved: int, answer: dict[str, Any]) -> Case:
    def run(chain: Anvil, payments: Payments) -> None:
        tx = chain.transfer_from(PROXY, PAYER, TREASURY, moved) if moved else ""
        payload = permitted(scheme)
        note(payments, chain, payload, {"isValid": True, "payer": PAYER}, "verify")
        note(payments, chain, payload, {"success": True, "transaction": tx, **answer})

    return run


def never_sent(chain: Anvil, payments: Payments) -> None:
    note(payments, chain, permitted("exact"), {"success": True, "transaction": NEVER})


def unanswered(chain: Anvil, payments: Payments) -> None:
    chain.transfer_from(PROXY, PAYER, TREASURY, 20_000)
    note(payments, chain, permitted("exact"), None)


def reverted(chain: Anvil, payments: Payments) -> None:
    tx = chain.transfer_from(PROXY, PAYER, TREASURY, 10**12)  # more than there is
    answer = {"success": False, "errorReason": "transaction_reverted", "transaction": tx}
    note(payments, chain, permitted("upto"), answer)


def vouchers(chain: Anvil, payments: Payments) -> None:
    deposit = voucher()
    deposit["payload"]["type"] = "deposit"
    tx = chain.transfer(PAYER, ESCROW, 90_000)
    note(payments, chain, deposit, {"success": True, "transaction": tx})
    for number in (1, 2):
        claim = voucher()
        claim["payload"]["voucher"]["maxClaimableAmount"] = str(90_000 + number)
        answer = {"success": True, "transaction": "", "extra": {"chargedAmount": "700"}}
        note(payments, chain, claim, answer)
    chain.transfer(ESCROW, TREASURY, 1_400)  # the sweep of both, which no line announces


def refused_voucher(chain: Anvil, payments: Payments) -> None:
    note(payments, chain, voucher(), {"success": False, "errorReason": "channel_is_closed"})


def circle(chain: Anvil, payments: Payments) -> None:
    payload = gateway(sample("x402_v2_facilitator_settle_http.json")["request"]["paymentPayload"])
    note(payments, chain, payload, {"success": True, "transaction": str(uuid.uuid4())})


def machine_payments(chain: Anvil, payments: Payments) -> None:
    receipt = {"status": "success", "method": "tempo", "reference": NEVER}
    line = {"recorded_at": chain.time_s, "headers": {"payment-receipt": encoded(receipt)}}
    payments.write({**line, "transaction_id": V})


def paid_by_mpp(chain: Anvil, payments: Payments) -> None:
    tx = chain.transfer(PAYER, TREASURY, 20_000 + 500)
    other = chain.transfer(PAYER, TREASURY, 20_000)
    line = mpp("evm", reference=other, chainId=8453)
    payments.write({"recorded_at": chain.time_s, **line, "transaction_id": V})
    # What another transaction paid is not what this receipt is about.
    line = mpp("evm", reference=tx, challengeId="other")
    payments.write({"recorded_at": chain.time_s, **line, "transaction_id": V})


def unknown_scheme(chain: Anvil, payments: Payments) -> None:
    payload = {**permitted("exact"), "accepted": accepted("subscription")}
    note(payments, chain, payload, {"success": True, "transaction": NEVER})


CASES: dict[str, tuple[Case, Ends]] = {
    "permit2": (
        permit2("exact", 20_000, {}),
        ([("confirmed", "", 20_000), ("superseded", "", 20_000)], 1),
    ),
    "upto": (
        permit2("upto", 1_858, {"amount": "1858"}),
        ([("confirmed", "", 1_858), ("superseded", "", 1_858)], 1),
    ),
    "upto that does not say what it charged": (
        permit2("upto", 1_858, {}),
        ([("confirmed", "", 1_858), ("superseded", "", 20_000)], 1),
    ),
    "upto of nothing": (permit2("upto", 0, {"amount": "0"}), ([], 0)),
    "permit2 that was never sent": (
        never_sent, ([("unknown", "transaction_not_found", 20_000)], 0),
    ),
    "permit2 without an answer": (
        unanswered, ([("confirmed", "", 20_000), ("unknown", "transaction_not_found", 20_000)], 0),
    ),
    "upto that reverted": (reverted, ([("unknown", "transaction_reverted", 20_000)], 0)),
    "batch-settlement": (
        vouchers,
        # Of a channel whose deposit is not there: the real ones are in test_channels.py.
        ([("unknown", "deposit_not_found", 700)] * 2
         + [("unknown", "deposit_not_found", 20_000), ("confirmed", "", 1_400)], 0),
    ),
    "a voucher that was refused": (
        refused_voucher, ([("not_followed", "refused", 20_000)], 0),
    ),
    # Nobody asks Gateway here: test_gateway.py.
    "circle gateway": (circle, ([("unknown", "not_settled_until_deadline", 12_345)], 0)),
    "mpp": (machine_payments, ([("not_followed", "", 0)], 1)),
    "mpp on a chain of ours": (
        paid_by_mpp,
        ([("confirmed", "", 20_000), ("confirmed", "", 20_500), ("superseded", "", 20_000),
          ("unknown", "undecided", 20_000)], 1),
    ),
    "a scheme that nobody knows": (unknown_scheme, ([("not_followed", "", 20_000)], 1)),
}  # fmt: skip


def carried(polls: Polls) -> set[tuple[Any, ...]]:
    """What the chain's own rows have of the lines that announced them, with their units."""
    rows = polls.warehouse.rows(
        "SELECT amount, protocol, attributes['scheme'], attributes['answer'], "
        "toDecimal64OrZero(attributes['amount_max'], 6), attributes['resource'] "
        "FROM masques_marts.settlements_current WHERE status = 'confirmed' AND protocol != ''"
    )
    return {(int(amount.scaleb(6)), *said) for amount, *said in rows}


def test_payments_that_are_not_followed_are_never_wrong(
    polls: Polls, payments: Payments, chain: Anvil
) -> None:
    chain.finalize()
    polls.poll()
    for case, _ in CASES.values():
        case(chain, payments)
    polls.poll()
    # Past every deadline, and past the time that anybody is waited for.
    for seconds in (0, 2 * HOUR_S, 8 * 24 * HOUR_S):
        chain.pass_time(seconds)
        chain.finalize()
        polls.poll()
    found = polls.warehouse.rows(
        "SELECT status, failure_reason, amount FROM masques_marts.settlements_current"
    )
    expected = [row for _, (rows, _) in CASES.values() for row in rows]
    assert sorted((s, r, int(amount.scaleb(6))) for s, r, amount in found) == sorted(expected)
    linked = "SELECT count() FROM masques_ops.settlement_links FINAL"
    assert polls.warehouse.scalar(linked) == sum(links for _, (_, links) in CASES.values())
    assert polls.findings() == []
    assert carried(polls) == {
        (20_000, "x402", "exact", "success", Decimal(0), RESOURCE),
        (20_000, "mpp", "mpp", "success", Decimal(0), ""),
        (1_858, "x402", "upto", "success", Decimal("0.02"), RESOURCE),
    }
    # Never, and not in what reputation reads: there is no payment that it would take for undone.
    for table in ("masques.settlements", "masques_ops.settlements_newest"):
        assert polls.warehouse.scalar(f"SELECT countIf(status = 'failed') FROM {table}") == 0
    money = "SELECT sumIf(amount, direction = 'in' AND status = 'confirmed') FROM "
    held = int(chain.rpc("eth_call", {"to": USDC, "data": "0x70a08231" + word(TREASURY)}), 16)
    total = polls.warehouse.scalar(money + "masques_marts.settlements_current")
    assert total == Decimal(held).scaleb(-6)
    says = "SELECT state FROM masques_marts.chain_balances"
    assert polls.warehouse.rows(says) == [("agrees",)]
