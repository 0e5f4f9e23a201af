"""Decodes LND's invoices, their parts (HTLCs) and sets (AMP), and its outgoing payments.

LND's REST gives 64-bit numbers as text, bytes in base64 and enums by name. A payment hash is
base64 bytes in an invoice and hex text in a payment. A preimage is never kept.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.protocol import Observation, Status
from masques_pipelines.rails.settlement_ids import lightning_payment

MSAT_DECIMALS: Final = 11
_PAYMENT_STATUS: Final[Mapping[str, Status]] = {
    "SUCCEEDED": "confirmed",
    "FAILED": "failed",
    "IN_FLIGHT": "pending",
    "INITIATED": "pending",
}


def payment_hash_of(invoice: Mapping[str, Any]) -> str:
    """Returns an invoice's payment hash, hex."""
    return base64.b64decode(invoice["r_hash"]).hex()


def of_invoice(
    invoice: Mapping[str, Any], *, network: str, pubkey: str, is_announced: bool
) -> Iterator[Observation]:
    """Yields the settlements of an invoice: none while it is open and nobody has paid.

    Args:
        invoice: As LND answers it.
        network: CAIP-2 id of the chain under the node.
        pubkey: The node that is paid.
        is_announced: Whether the gate's journal announced it: then it fails when it is canceled.
    """
    if invoice.get("is_amp") or invoice.get("amp_invoice_state"):
        yield from _of_amp(invoice, network, pubkey)
        return
    payment_hash, state = payment_hash_of(invoice), invoice["state"]
    parts = invoice.get("htlcs") or []
    if state == "OPEN" or (state == "CANCELED" and not parts and not is_announced):
        return
    if state == "SETTLED":
        yield _incoming(
            payment_hash, network, pubkey, status="confirmed", finality="settled",
            msat=int(invoice["amt_paid_msat"]), time_s=int(invoice["settle_date"]),
        )  # fmt: skip
    elif state == "ACCEPTED":
        held = [each for each in parts if each["state"] == "ACCEPTED"]
        yield _incoming(
            payment_hash, network, pubkey, status="pending", finality="accepted",
            msat=sum(int(each["amt_msat"]) for each in held),
            time_s=max((int(each["accept_time"]) for each in held), default=0)
            or int(invoice["creation_date"]),
        )  # fmt: skip
    else:
        ended_s = int(invoice["creation_date"]) + int(invoice["expiry"])
        yield _incoming(
            payment_hash, network, pubkey, status="failed", finality="canceled",
            msat=sum(int(each["amt_msat"]) for each in parts) or int(invoice["value_msat"]),
            time_s=max((int(each["resolve_time"]) for each in parts), default=0) or ended_s,
            reason="invoice_canceled" if parts else "invoice_expired",
        )  # fmt: skip


def _of_amp(invoice: Mapping[str, Any], network: str, pubkey: str) -> Iterator[Observation]:
    """Yields one settlement for each set of parts: an AMP invoice may be paid many times."""
    payment_hash = payment_hash_of(invoice)
    for set_id, state in (invoice.get("amp_invoice_state") or {}).items():
        status, finality, reason = {
            "SETTLED": ("confirmed", "settled", ""),
            "ACCEPTED": ("pending", "accepted", ""),
        }.get(state["state"], ("failed", "canceled", "invoice_canceled"))
        yield _incoming(
            payment_hash, network, pubkey, status=status, finality=finality, reason=reason,
            msat=int(state["amt_paid_msat"]),
            time_s=int(state["settle_time"]) or int(invoice["creation_date"]),
            set_id=_set_id(set_id),
        )  # fmt: skip


def of_payment(payment: Mapping[str, Any], *, network: str, pubkey: str) -> list[Observation]:
    """Returns the settlement of an outgoing payment."""
    payment_hash = str(payment["payment_hash"]).lower()
    status = _PAYMENT_STATUS.get(payment["status"], "unknown")
    reason = str(payment.get("failure_reason") or "").removeprefix("FAILURE_REASON_").lower()
    created_ns = int(payment.get("creation_time_ns") or 0)
    return [
        Observation(
            # Not the id of an incoming payment of the same hash: a node may pay itself.
            settlement_id=lightning_payment(payment_hash, "out"),
            source="chain",
            rail="lightning",
            network=network,
            direction="out",
            status=status,
            amount=whole_units(int(payment["value_msat"]), MSAT_DECIMALS),
            currency="BTC",
            timestamp_ns=created_ns,
            to_address=_destination(payment),
            payer=pubkey,
            payment_ref=payment_hash,
            tx_hash=payment_hash,
            finality={"confirmed": "settled", "failed": "canceled"}.get(status, "accepted"),
            failure_reason=reason if status == "failed" else "",
            network_fee=whole_units(int(payment.get("fee_msat") or 0), MSAT_DECIMALS),
            fee_currency="BTC",
        )
    ]


def _incoming(  # noqa: PLR0913 - the fields of one record, by name
    payment_hash: str,
    network: str,
    pubkey: str,
    *,
    status: Any,
    finality: str,
    msat: int,
    time_s: int,
    reason: str = "",
    set_id: str = "",
) -> Observation:
    return Observation(
        settlement_id=lightning_payment(payment_hash, set_id),
        source="chain",
        rail="lightning",
        network=network,
        direction="in",
        status=status,
        amount=whole_units(msat, MSAT_DECIMALS),
        currency="BTC",
        timestamp_ns=time_s * 10**9,
        to_address=pubkey,
        payment_ref=payment_hash,
        tx_hash=payment_hash,
        finality=finality,
        failure_reason=reason,
        fee_currency="BTC",
        attributes={"amp_set_id": set_id} if set_id else {},
    )


def _destination(payment: Mapping[str, Any]) -> str:
    """Returns the node that was paid: the last hop of the first part that was sent."""
    for part in payment.get("htlcs") or ():
        hops = (part.get("route") or {}).get("hops") or []
        if hops:
            return str(hops[-1].get("pub_key", ""))
    return ""


def _set_id(text: str) -> str:
    """Returns an AMP set id in hex; as a JSON key LND writes it in hex or base64."""
    try:
        return bytes.fromhex(text).hex()
    except ValueError:
        return base64.b64decode(text).hex()
