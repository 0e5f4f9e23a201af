"""Writes what the sandbox's gate says of payments: lines of its journal, without any secret."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from masques_pipelines.sandbox.nodes import base, lightning, solana
from masques_pipelines.sandbox.nodes.facts import Payment

Event = Literal["challenge", "payment", "verify", "settle", "payout"]
# What a facilitator answers: success; failed, naming a transaction that did; valid, to a
# verification; none, when no answer came.
Answer = Literal["success", "failed", "valid", "none"]

_BASE_NETWORK: Final = f"eip155:{base.CHAIN_ID}"
# A CAIP-2 id of Solana has the first 32 characters of the genesis hash.
_SOLANA_NETWORK: Final = f"solana:{solana.GENESIS_HASH[:32]}"
_RESOURCE: Final = {"url": "https://api.example.test/tools/search"}


@dataclass(frozen=True, slots=True)
class Announcement:
    """One line of the journal.

    Attributes:
        rail: The payment's rail.
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
    lines: Mapping[str, Callable[[Announcement, int], dict[str, Any]]] = {
        "base": _on_base,
        "solana": _on_solana,
        "lightning": _on_lightning,
    }
    told = _payout(said, seed) if said.event == "payout" else lines[said.rail](said, seed)
    line = {"recorded_at": said.at_s, "event": said.event, **told}
    if said.latency_ms is not None:
        line["latency_ms"] = said.latency_ms
    if len(said.transaction_ids) == 1:
        line["transaction_id"] = said.transaction_ids[0]
    elif said.transaction_ids:
        line["transaction_ids"] = said.transaction_ids
    return json.dumps(line) + "\n"


def _payout(said: Announcement, seed: int) -> dict[str, Any]:
    payment = said.payment
    places: Mapping[str, tuple[str, str, str]] = {
        "base": (_BASE_NETWORK, base.TOKEN, base.transaction_hash(seed, payment.number)),
        "solana": (_SOLANA_NETWORK, solana.MINT, solana.signature(seed, payment.number)),
        "lightning": ("lightning", "", lightning.payment_hash(seed, payment.number)),
    }
    network, asset, transaction = places[said.rail]
    return {
        "network": network,
        **({"asset": asset} if asset else {}),
        "amount": str(payment.units),
        "to": payment.receiver,
        "payout_id": f"{said.rail}-{payment.number}",
        "transaction": transaction,
        "response": {"success": said.answer == "success"},
    }


def _on_base(said: Announcement, seed: int) -> dict[str, Any]:
    payment = said.payment
    signed = {
        "from": payment.sender,
        "to": payment.receiver,
        "value": str(payment.units),
        "validAfter": "0",
        "validBefore": str(payment.at_s + payment.valid_s),
        "nonce": base.nonce(seed, payment),
    }
    extra = {"name": "USD Coin", "version": "2"}
    asked = _asked(payment, _BASE_NETWORK, base.TOKEN, extra)
    transaction = base.transaction_hash(seed, payment.number)
    return _exchange(said, {"authorization": signed}, asked, transaction)


def _on_solana(said: Announcement, seed: int) -> dict[str, Any]:
    payment = said.payment
    extra = {"feePayer": solana.facilitator(seed), "memo": solana.memo(payment)}
    asked = _asked(payment, _SOLANA_NETWORK, solana.MINT, extra)
    # The signed transaction, which is all that a payload has on Solana, is a secret.
    return _exchange(said, {}, asked, solana.signature(seed, payment.number))


def _on_lightning(said: Announcement, seed: int) -> dict[str, Any]:
    return {
        "protocol": "L402",
        "payment_hash": lightning.payment_hash(seed, said.payment.number),
        "amount_msat": said.payment.units,
        "resource": _RESOURCE["url"],
    }


def _asked(payment: Payment, network: str, asset: str, extra: Mapping[str, str]) -> dict[str, Any]:
    return {
        "scheme": "exact",
        "network": network,
        "asset": asset,
        "amount": str(payment.units),
        "payTo": payment.receiver,
        "maxTimeoutSeconds": payment.valid_s,
        "extra": dict(extra),
    }


def _exchange(
    said: Announcement, payload: Mapping[str, Any], asked: Mapping[str, Any], transaction: str
) -> dict[str, Any]:
    """Returns what the gate sent to a facilitator, and what it got."""
    sent = {"x402Version": 2, "payload": payload, "accepted": asked, "resource": _RESOURCE}
    settled = {"payer": said.payment.sender, "network": asked["network"]}
    settled["transaction"] = transaction
    answers: Mapping[Answer, dict[str, Any] | None] = {
        "success": {"success": True, **settled},
        "failed": {"success": False, "errorReason": "transaction_failed", **settled},
        "valid": {"isValid": True, "payer": said.payment.sender},
        "none": None,
    }
    request = {"x402Version": 2, "paymentPayload": sent, "paymentRequirements": asked}
    return {"request": request, "response": answers[said.answer]}
