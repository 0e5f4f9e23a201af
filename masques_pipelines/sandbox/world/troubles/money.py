"""Troubles of payments: what rails, facilitators and the journal show of them."""

import json
from typing import Any, Final

import numpy as np

from masques_pipelines.rails.settlement_ids import (
    base_authorization,
    lightning_payment,
    solana_transfer,
    voucher,
)
from masques_pipelines.rails.solana.addresses import associated_token_account
from masques_pipelines.sandbox.nodes import base, lightning, solana
from masques_pipelines.sandbox.parties import BASE_TREASURY, SOLANA_TREASURY
from masques_pipelines.sandbox.world.payments import facts
from masques_pipelines.sandbox.world.shape import (
    BASE,
    FAILED,
    LIGHTNING,
    LINE,
    NAMED,
    PAYMENT,
    PAYOUT,
    PLAIN,
    SECOND,
    SETTLE,
    SOLANA,
    SUCCESS,
    VOUCHER,
    Rows,
)
from masques_pipelines.sandbox.world.troubles.gate import deliver, file_name
from masques_pipelines.sandbox.world.troubles.observed import (
    Finding,
    Hit,
    Observed,
    Trouble,
    is_break,
    money,
    text,
)

# Of payments that only a trouble makes: no other has so high a number.
_NUMBERS: Final = 2**40
_HIDDEN: Final = 6
_NETWORK: Final = base.BASE.network
_SOLANA: Final = f"solana:{solana.GENESIS_HASH[:32]}"
# When what a payment became is final on each rail, with the next run.
_FINAL_S: Final = (base.FINAL_AFTER_S + 60, 60, 60)


def settlement_of(seen: Observed, payment: Rows) -> str:
    """Returns the id of the settlement that records a payment (of one row)."""
    (fact,) = facts(seen.wallets, payment)
    seed, rail = seen.people.shape.seed, int(payment["rail"][0])
    if rail == BASE:
        chain = base.POLYGON if payment["polygon"][0] else base.BASE
        if fact.channel:
            return str(voucher(chain.network, fact.channel, fact.total))
        nonce = base.nonce(seed, fact)
        return str(base_authorization(chain.network, chain.token, fact.sender, nonce))
    if rail == SOLANA:
        account = associated_token_account(SOLANA_TREASURY, solana.MINT)
        return str(solana_transfer(_SOLANA, solana.signature(seed, fact.number), account))
    hash_text = lightning.payment_hash(seed, fact.number)
    return str(lightning_payment(hash_text, "out" if payment["out"][0] else ""))


def line_of(
    seen: Observed, trouble: Trouble, rails: tuple[int, ...], event: int, valid_s: int = 0
) -> tuple[Rows, int, Rows] | None:
    """Returns a line that alone names one transfer, and the places of its payment and transfer.

    Vouchers are left out: what becomes of them is their channel's.

    Args:
        seen: The day.
        trouble: What hits the line.
        rails: On which of them.
        event: What the line says.
        valid_s: How long its payment can be paid, at least.
    """
    lines = seen.rows["lines"]
    fits = (lines["event"] == event) & (lines["answer"] == SUCCESS) & (lines["count"] == 1)
    named = seen.day.named["transfer"][np.where(fits, lines["first"], 0)]
    _, places, counts = np.unique(named[fits], return_inverse=True, return_counts=True)
    fits[fits] = counts[places] == 1
    fits &= np.isin(lines["rail"], rails)
    lasting = seen.moved[(seen.moved["valid_s"] >= valid_s) & (seen.moved["kind"] != VOUCHER)]
    known = set(lasting[["rail", "number"]].tolist())
    fits &= [key in known for key in lines[["rail", "number"]].tolist()]
    place = seen.first("lines", fits, trouble)
    if place is None:
        return None
    line = lines[place : place + 1]
    payment = seen.payment(int(line["rail"][0]), int(line["number"][0]))
    return line, payment, seen.day.named["transfer"][line["first"][0]]


def hit_of(seen: Observed, line: Rows, payment: int, transfer: Any, **values: Any) -> Hit:
    """Returns what hitting a payment means: its settlement, its transfer, its money."""
    row = seen.moved[payment : payment + 1]
    rail = int(row["rail"][0])
    amount, currency = money(int(row["units"][0]), 1 if rail == LIGHTNING else 0)
    ids = {"settlements": [settlement_of(seen, row)], "transfers": [text(transfer)]}
    visible = int(line["t"][0]) + _FINAL_S[rail] * SECOND
    return Hit(ids, visible, amount, currency, **values)


def _finding(hit: Hit, *kinds: str) -> tuple[Finding, ...]:
    return tuple(Finding("rails", kind, hit.ids["settlements"][0]) for kind in kinds)


def _unbooked(hit: Hit) -> tuple[Finding, ...]:
    return is_break("unbooked_settlement", hit.ids["settlements"][0])


def facilitator_lies(seen: Observed, trouble: Trouble) -> Hit | None:
    """A facilitator answers success for a payment that its chain refused."""
    found = line_of(seen, trouble, (BASE, SOLANA), SETTLE)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("settlement_failed",))
    seen.moved["kind"][found[1]] = FAILED
    hit.findings = _finding(hit, "facilitator_contradicted")
    hit.also = _finding(hit, "claim_disagrees")
    return hit


def wrong_amount(seen: Observed, trouble: Trouble) -> Hit | None:
    """Less was paid than the journal says."""
    found = line_of(seen, trouble, (BASE,), SETTLE)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("amount_mismatch", "unsettled_transfer"))
    seen.moved["units"][found[1]] -= 1
    hit.findings = _finding(hit, "claim_disagrees")
    hit.also = (*_finding(hit, "intent_disagrees"), *_unbooked(hit))
    return hit


def old_treasury(seen: Observed, trouble: Trouble) -> Hit | None:
    """A gate asks for payment to an address that is not ours any more."""
    found = line_of(seen, trouble, (BASE,), SETTLE)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("unsettled_transfer",))
    for rows in (seen.moved, seen.told):
        rows["to"][found[1]] = 1
    hit.findings = _finding(hit, "paid_outside_treasury")
    hit.also = _finding(hit, "claim_disagrees")
    return hit


def hidden_payment(seen: Observed, trouble: Trouble) -> Hit | None:
    """A node shows no trace of a payment; only the balance has it."""
    found = line_of(seen, trouble, (BASE,), SETTLE)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("unsettled_transfer", "settlement_failed"))
    seen.moved["kind"][found[1]] = _HIDDEN
    hit.findings = (Finding("balance", "differs", "base"),)
    # To all that the chain shows, the authorization was never used.
    hit.also = _finding(hit, "claim_disagrees", "facilitator_contradicted")
    return hit


def unsettled_deposit(seen: Observed, trouble: Trouble) -> Hit | None:
    """The journal loses the line that says what a payment is for."""
    found = line_of(seen, trouble, (BASE, SOLANA), SETTLE)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("unsettled_transfer",))
    hit.findings = _unbooked(hit)
    lines = seen.rows["lines"]
    same = (lines["rail"] == found[0]["rail"]) & (lines["number"] == found[0]["number"])
    seen.drop("lines", same & (lines["event"] == SETTLE))
    return hit


def failed_payout(seen: Observed, trouble: Trouble) -> Hit | None:
    """A payout fails on Lightning, though the payout service says that it went."""
    found = line_of(seen, trouble, (LIGHTNING,), PAYOUT)
    if found is None:
        return None
    hit = hit_of(seen, *found, classes=("settlement_failed",))
    seen.moved["kind"][found[1]] = FAILED
    hit.also = _finding(hit, "facilitator_contradicted", "claim_disagrees")
    return hit


def paid_twice(seen: Observed, trouble: Trouble) -> Hit | None:
    """A client pays again what it has paid, and the gate settles both."""
    found = line_of(seen, trouble, (BASE,), SETTLE)
    if found is None:
        return None
    line, payment, transfer = found
    again = seen.moved[payment : payment + 1].copy()
    again["number"], again["t"] = _NUMBERS + trouble.number, again["t"] + 90 * SECOND
    _add_payment(seen, again)
    second = line.copy()
    second["number"], second["t"] = again["number"], line["t"] + 90 * SECOND
    _add_line(seen, second)
    hit = hit_of(seen, line, payment, transfer, classes=("paid_twice",))
    hit.ids["settlements"].append(settlement_of(seen, again))
    return hit


def claims_disagree(seen: Observed, trouble: Trouble) -> Hit | None:
    """Two lines name different transfers for one payment."""
    found = line_of(seen, trouble, (BASE, SOLANA), SETTLE)
    if found is None:
        return None
    line, payment, transfer = found
    other = np.zeros(1, NAMED)
    other["transfer"] = transfer
    other["transfer"]["lo"] ^= np.uint64(1)
    second = line.copy()
    second["first"], second["t"] = len(seen.day.named), line["t"] + SECOND
    seen.day.named = np.concatenate([seen.day.named, other])
    _add_line(seen, second)
    hit = hit_of(seen, line, payment, transfer, classes=("unsettled_transfer",))
    hit.findings = (*_finding(hit, "claims_disagree"), *_unbooked(hit))
    return hit


def unbooked_payment(seen: Observed, trouble: Trouble) -> Hit | None:
    """Somebody pays by hand, and nothing is booked for it."""
    made = np.zeros(1, PAYMENT)
    made["t"], made["rail"], made["kind"] = trouble.at_ns, SOLANA, PLAIN
    made["number"], made["units"] = _NUMBERS + trouble.number, 1_234_567
    _add_payment(seen, made)
    amount, currency = money(1_234_567, 0)
    return Hit(
        {"settlements": [settlement_of(seen, made)]},
        trouble.at_ns + _FINAL_S[SOLANA] * SECOND,
        amount,
        currency,
        classes=("unbooked_settlement",),
    )


def bad_line(seen: Observed, trouble: Trouble) -> Hit | None:
    """A line of the journal is cut off."""
    # Of two files that begin with the same bytes, one is the other under a new name.
    line = f'{{"recorded_at": {trouble.number}\n'.encode()
    return _said(seen, trouble, line, "invalid_json:line")


def wrong_asset(seen: Observed, trouble: Trouble) -> Hit | None:
    """A payout names a token that is none of ours."""
    line = {
        "recorded_at": trouble.at_ns // SECOND,
        "event": "payout",
        "network": _NETWORK,
        "asset": "0x" + "77" * 20,
        "amount": "1000000",
        "to": BASE_TREASURY,
        "transaction": "0x" + f"{trouble.number:064x}",
    }
    return _said(seen, trouble, json.dumps(line).encode() + b"\n", "unknown:asset")


def _said(seen: Observed, trouble: Trouble, line: bytes, reason: str) -> Hit:
    name = file_name("settlement_journal", trouble, "ndjson")
    deliver(seen, trouble, name, line)
    found = Finding("quarantine", reason, f"{name}:1")
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def unfollowed_voucher(seen: Observed, trouble: Trouble) -> Hit | None:
    """A payment is announced on a network that is not read."""
    network, asset = "eip155:43114", "0x" + "88" * 20
    payload = {"authorization": {
        "from": "0x" + "99" * 20, "to": BASE_TREASURY, "value": "5000", "validAfter": "0",
        "validBefore": str(trouble.at_ns // SECOND + 600), "nonce": f"0x{trouble.number:064x}",
    }}  # fmt: skip
    asked = {"scheme": "exact", "network": network, "asset": asset, "amount": "5000",
             "payTo": BASE_TREASURY, "maxTimeoutSeconds": 600}  # fmt: skip
    request = {
        "x402Version": 2,
        "paymentPayload": {"x402Version": 2, "payload": payload, "accepted": asked},
        "paymentRequirements": asked,
    }
    said = {"recorded_at": trouble.at_ns // SECOND, "event": "settle", "request": request,
            "response": {"success": True, "transaction": "0x" + f"{trouble.number:064x}",
                         "network": network}}  # fmt: skip
    name = file_name("settlement_journal", trouble, "ndjson")
    deliver(seen, trouble, name, json.dumps(said).encode() + b"\n")
    found = Finding("settlement", "not_followed", f"0x{trouble.number:064x}")
    return Hit({"files": [name]}, trouble.at_ns, findings=(found,))


def _add_payment(seen: Observed, payment: Rows) -> None:
    seen.moved = np.concatenate([seen.moved, payment])
    seen.told = np.concatenate([seen.told, payment])


def _add_line(seen: Observed, line: Rows) -> None:
    lines = np.concatenate([seen.rows["lines"], np.array(line, LINE)])
    seen.rows["lines"] = lines[np.argsort(lines["t"], kind="stable")]
