"""Writes what the sandbox's gate says of payments: lines of its journal, without any secret."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from masques_pipelines.sandbox.nodes import base, escrow, lightning, solana
from masques_pipelines.sandbox.nodes.facts import Payment

Event = Literal["challenge", "payment", "verify", "settle", "payout"]
# What a facilitator answers: success; failed, naming a transaction that did; valid, to a
# verification; none, when no answer came.
Answer = Literal["success", "failed", "valid", "none"]

# A CAIP-2 id of Solana has the first 32 characters of the genesis hash.
_SOLANA_NETWORK: Final = f"solana:{solana.GENESIS_HASH[:32]}"
_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "base": (base.BASE.network, base.BASE.token),
    "polygon": (base.POLYGON.network, base.POLYGON.token),
    "solana": (_SOLANA_NETWORK, solana.MINT),
    "lightning": ("lightning", ""),
}
_RESOURCE: Final = {"url": "https://api.example.test/tools/search"}


@dataclass(frozen=True, slots=True)
class Announcement:
    """One line of the journal.

    Attributes:
        rail: Name of the payment's network, as the settings of the sandbox have it.
        payment: What the line is about.
        event: What the gate did: challenge and payment are of L402, verify and settle of x402; a
            payout is said by the payout service.
        at_s: When, seconds since 1970.
        answer: What came back; L402 has none.
        transaction_ids: The ledger transfers that this pays for.
        latency_ms: How long the answer took; None where nobody measured it.
    """

    rail: str
    payment: Payment
    event: Event
    at_s: float
    answer: Answer = "success"
    transaction_ids: tuple[str, ...] = ()
    latency_ms: int | None = None


def journal_line(said: Announcement, seed: int) -> str:
    """Returns an announcement as a line of the journal, with its line break.

    Args:
        said: The announcement.
        seed: The seed of the nodes, whose hashes and nonces the line names.
    """
    return line_from(said, payment_facts(said.rail, said.payment, seed), seed)


def payment_facts(rail: str, payment: Payment, seed: int) -> dict[str, str]:
    """Returns what all lines about a payment name of it; two of them need it once."""
    return _FACTS[rail](payment, seed) | {
        "units": str(payment.units),
        "valid_s": str(payment.valid_s),
        "sender": payment.sender,
        "receiver": payment.receiver,
        "number": str(payment.number),
    }


def line_from(said: Announcement, facts: Mapping[str, str], seed: int) -> str:
    """Returns a line as journal_line does, from the facts of its payment."""
    count = min(len(said.transaction_ids), 2)
    has_latency = said.latency_ms is not None
    kind = _Kind(said.rail, said.event, said.answer, count, has_latency, facts.get("form", ""))
    return _template(kind, seed) % {
        **facts,
        "at_s": repr(said.at_s),
        "latency_ms": said.latency_ms,
        "transfers": '", "'.join(said.transaction_ids),
    }


class _Kind(NamedTuple):
    """What lines have in common.

    Attributes:
        rail: The payment's rail.
        event: What the gate did.
        answer: What came back.
        transfers: How many transfers are named; 2 for several.
        has_latency: Whether it was measured how long the answer took.
        form: voucher or deposit of a payment channel; '' for any other payment.
    """

    rail: str
    event: Event
    answer: Answer
    transfers: int
    has_latency: bool
    form: str


# Most of a line is the same for all of its kind, and there are hundreds of thousands of them.
@functools.cache
def _template(kind: _Kind, seed: int) -> str:
    """Returns a line with names of facts, as the operator % takes them, where lines differ."""
    evm = functools.partial(_in_channel, kind.form) if kind.form else _on_base
    lines: Mapping[str, Callable[[Answer, int], dict[str, Any]]] = {
        "base": functools.partial(evm, "base"),
        "polygon": functools.partial(evm, "polygon"),
        "solana": _on_solana,
        "lightning": _on_lightning,
    }
    told = (
        _payout(kind.rail, kind.answer)
        if kind.event == "payout"
        else lines[kind.rail](kind.answer, seed)
    )
    line = {"recorded_at": _number("at_s"), "event": kind.event, **told}
    if kind.has_latency:
        line["latency_ms"] = _number("latency_ms")
    if kind.transfers == 1:
        line["transaction_id"] = _text("transfers")
    elif kind.transfers:
        line["transaction_ids"] = [_text("transfers")]
    text = json.dumps(line) + "\n"
    for name in _NUMBERS:
        text = text.replace(f'"{_number(name)}"', _text(name))
    return text


_NUMBERS: Final = ("at_s", "latency_ms", "valid_s", "units")


def _text(name: str) -> str:
    return f"%({name})s"


def _number(name: str) -> str:
    return f"%({name})d"


def _base_facts(payment: Payment, seed: int) -> dict[str, str]:
    if payment.channel:
        return {
            "form": "deposit" if payment.deposit else "voucher",
            "transaction": base.transaction_hash(seed, payment.number),
            "channel": payment.channel,
            "total": str(payment.total),
            "deposit": str(payment.deposit),
            "until": str(payment.at_s + payment.valid_s),
            "nonce": base.nonce(seed, payment),
        }
    return {
        "transaction": base.transaction_hash(seed, payment.number),
        "until": str(payment.at_s + payment.valid_s),
        "nonce": base.nonce(seed, payment),
    }


def _solana_facts(payment: Payment, seed: int) -> dict[str, str]:
    return {
        "transaction": solana.signature(seed, payment.number),
        "memo": solana.memo(payment),
    }


def _lightning_facts(payment: Payment, seed: int) -> dict[str, str]:
    return {"transaction": lightning.payment_hash(seed, payment.number)}


_FACTS: Final[Mapping[str, Callable[[Payment, int], dict[str, str]]]] = {
    "base": _base_facts,
    "polygon": _base_facts,
    "solana": _solana_facts,
    "lightning": _lightning_facts,
}


def _payout(rail: str, answer: Answer) -> dict[str, Any]:
    network, asset = _PLACES[rail]
    return {
        "network": network,
        **({"asset": asset} if asset else {}),
        "amount": _text("units"),
        "to": _text("receiver"),
        "payout_id": f"{rail}-{_text('number')}",
        "transaction": _text("transaction"),
        "response": {"success": answer == "success"},
    }


def _on_base(place: str, answer: Answer, _seed: int) -> dict[str, Any]:
    signed = {
        "from": _text("sender"),
        "to": _text("receiver"),
        "value": _text("units"),
        "validAfter": "0",
        "validBefore": _text("until"),
        "nonce": _text("nonce"),
    }
    extra = {"name": "USD Coin", "version": "2"}
    return _exchange(place, answer, {"authorization": signed}, extra)


def _in_channel(form: str, place: str, answer: Answer, seed: int) -> dict[str, Any]:
    """Returns a payment by voucher (batch-settlement), with the deposit before it if there is one.

    The answer names a transaction only where there is a deposit.
    """
    _, asset = _PLACES[place]
    channel = {
        "payer": _text("sender"),
        "payerAuthorizer": _text("sender"),
        "receiver": _text("receiver"),
        "receiverAuthorizer": base.facilitator(seed),
        "token": asset,
        "withdrawDelay": escrow.DELAY_S,
        # Each channel of a payer has another one.
        "salt": _text("channel"),
    }
    voucher = {"channelId": _text("channel"), "maxClaimableAmount": _text("total")}
    payload: dict[str, Any] = {"type": form, "channelConfig": channel, "voucher": voucher}
    if form == "deposit":
        allowed = {"validAfter": "0", "validBefore": _text("until"), "salt": _text("nonce")}
        authorization = {"erc3009Authorization": allowed}
        payload["deposit"] = {"amount": _text("deposit"), "authorization": authorization}
    extra = {"name": "USD Coin", "version": "2", "receiverAuthorizer": base.facilitator(seed)}
    line = _exchange(place, answer, payload, extra, scheme="batch-settlement")
    if answer == "success":
        state = {"channelId": _text("channel"), "chargedCumulativeAmount": _text("total")}
        line["response"]["extra"] = {"chargedAmount": _text("units"), "channelState": state}
        if form == "voucher":
            line["response"]["transaction"] = ""
    return line


def _on_solana(answer: Answer, seed: int) -> dict[str, Any]:
    extra = {"feePayer": solana.facilitator(seed), "memo": _text("memo")}
    # The signed transaction, which is all that a payload has on Solana, is a secret.
    return _exchange("solana", answer, {}, extra)


def _on_lightning(_answer: Answer, _seed: int) -> dict[str, Any]:
    return {
        "protocol": "L402",
        "payment_hash": _text("transaction"),
        "amount_msat": _number("units"),
        "resource": _RESOURCE["url"],
    }


def _exchange(
    rail: str,
    answer: Answer,
    payload: Mapping[str, Any],
    extra: Mapping[str, str],
    *,
    scheme: str = "exact",
) -> dict[str, Any]:
    """Returns what the gate sent to a facilitator, and what it got."""
    network, asset = _PLACES[rail]
    asked = {
        "scheme": scheme,
        "network": network,
        "asset": asset,
        "amount": _text("units"),
        "payTo": _text("receiver"),
        "maxTimeoutSeconds": _number("valid_s"),
        "extra": dict(extra),
    }
    sent = {"x402Version": 2, "payload": payload, "accepted": asked, "resource": _RESOURCE}
    settled = {"payer": _text("sender"), "network": network, "transaction": _text("transaction")}
    answers: Mapping[Answer, dict[str, Any] | None] = {
        "success": {"success": True, **settled},
        "failed": {"success": False, "errorReason": "transaction_failed", **settled},
        "valid": {"isValid": True, "payer": _text("sender")},
        "none": None,
    }
    request = {"x402Version": 2, "paymentPayload": sent, "paymentRequirements": asked}
    return {"request": request, "response": answers[answer]}
