"""Decodes LND's invoices, their parts (HTLCs) and sets (AMP), and its outgoing payments.

A payment hash is base64 bytes in an invoice and hex text in a payment. A preimage is never kept.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.answers import ShapeError, is_time
from masques_pipelines.rails.lightning.messages import Invoice, Payment
from masques_pipelines.rails.protocol import Observation, Status
from masques_pipelines.rails.settlement_ids import lightning_payment

MSAT_DECIMALS: Final = 11
_PAYMENT_STATUS: Final[Mapping[str, Status]] = {
    "SUCCEEDED": "confirmed",
    "FAILED": "failed",
    "IN_FLIGHT": "pending",
    "INITIATED": "pending",
}
_FINALITY: Final[Mapping[str, str]] = {"confirmed": "settled", "failed": "canceled"}
_SET_STATUS: Final[Mapping[str, tuple[Status, str, str]]] = {
    "SETTLED": ("confirmed", "settled", ""),
    "ACCEPTED": ("pending", "accepted", ""),
    "CANCELED": ("failed", "canceled", "invoice_canceled"),
}


def of_invoice(
    invoice: Invoice, *, network: str, pubkey: str, is_announced: bool
) -> Iterator[Observation]:
    """Yields the settlements of an invoice: none while it is open and nobody has paid.

    Args:
        invoice: As LND answers it.
        network: CAIP-2 id of the chain under the node.
        pubkey: The node that is paid.
        is_announced: Whether the gate's journal announced it: then it fails when it is canceled.

    Raises:
        ShapeError: It has no time that a payment can have.
    """
    if invoice.is_amp or invoice.amp_invoice_state:
        yield from _of_amp(invoice, network, pubkey)
        return
    state, parts = invoice.state, invoice.htlcs or []
    if state == "OPEN" or (state == "CANCELED" and not parts and not is_announced):
        return
    status: Status = "unknown"
    finality, reason = "accepted", "unknown_invoice_state"
    msat = invoice.amt_paid_msat or invoice.value_msat
    times = [invoice.settle_date, invoice.creation_date]
    if state == "SETTLED":
        status, finality, reason = "confirmed", "settled", ""
        msat = invoice.amt_paid_msat
    elif state == "ACCEPTED":
        status, reason = "pending", ""
        held = [each for each in parts if each.state == "ACCEPTED"]
        msat = sum(each.amt_msat for each in held)
        times = [max((each.accept_time for each in held), default=0), invoice.creation_date]
    elif state == "CANCELED":
        status, finality = "failed", "canceled"
        reason = "invoice_canceled" if parts else "invoice_expired"
        msat = sum(each.amt_msat for each in parts) or invoice.value_msat
        ended_s = invoice.creation_date + invoice.expiry
        resolved_s = max((each.resolve_time for each in parts), default=0)
        times = [resolved_s, ended_s, invoice.creation_date]
    yield _incoming(
        invoice.r_hash, network, pubkey,
        status=status, finality=finality, reason=reason, msat=msat, time_s=_time(times),
    )  # fmt: skip


def _of_amp(invoice: Invoice, network: str, pubkey: str) -> Iterator[Observation]:
    """Yields one settlement for each set of parts: an AMP invoice may be paid many times."""
    for set_id, part in (invoice.amp_invoice_state or {}).items():
        status, finality, reason = _SET_STATUS.get(
            part.state, ("unknown", "accepted", "unknown_invoice_state")
        )
        yield _incoming(
            invoice.r_hash, network, pubkey, status=status, finality=finality, reason=reason,
            msat=part.amt_paid_msat, time_s=_time([part.settle_time, invoice.creation_date]),
            set_id=_set_id(set_id),
        )  # fmt: skip


def of_payment(payment: Payment, *, network: str, pubkey: str) -> Observation:
    """Returns the settlement of an outgoing payment.

    Raises:
        ShapeError: It has no time that a payment can have.
    """
    status = _PAYMENT_STATUS.get(payment.status, "unknown")
    reason = (payment.failure_reason or "").removeprefix("FAILURE_REASON_").lower()
    if status == "unknown":
        reason = "unknown_payment_state"
    return Observation(
        # Not the id of an incoming payment of the same hash: a node may pay itself.
        settlement_id=lightning_payment(payment.payment_hash, "out"),
        source="chain",
        rail="lightning",
        network=network,
        direction="out",
        status=status,
        amount=whole_units(payment.value_msat, MSAT_DECIMALS),
        currency="BTC",
        timestamp_ns=_payment_time_ns(payment, is_settled=status == "confirmed"),
        to_address=_destination(payment),
        payer=pubkey,
        payment_ref=payment.payment_hash,
        tx_hash=payment.payment_hash,
        finality=_FINALITY.get(status, "accepted"),
        failure_reason=reason if status in ("failed", "unknown") else "",
        network_fee=whole_units(payment.fee_msat, MSAT_DECIMALS),
        fee_currency="BTC",
    )


def _payment_time_ns(payment: Payment, *, is_settled: bool) -> int:
    """Returns when the money left, else when the payment was made."""
    settled = [each.resolve_time_ns for each in payment.htlcs or () if each.status == "SUCCEEDED"]
    times = [max(settled, default=0)] if is_settled else []
    times += [payment.creation_time_ns, payment.creation_date * 10**9]
    for each in times:
        if is_time(each // 10**9):
            return each
    raise ShapeError("creation_time_ns (no time)")


def _time(times: list[int]) -> int:
    """Returns the first time that a payment can have."""
    for each in times:
        if is_time(each):
            return each
    raise ShapeError("creation_date (no time)")


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


def _destination(payment: Payment) -> str:
    """Returns the node that was paid: the last hop of the successful attempts, else of all.

    All of them have one destination; where they do not say so, it is not known.
    """
    parts = payment.htlcs or []
    routes = [
        each.route.hops
        for each in [each for each in parts if each.status == "SUCCEEDED"] or parts
        if each.route and each.route.hops
    ]
    ends = {hops[-1].pub_key for hops in routes}
    return ends.pop() if len(ends) == 1 else ""


def _set_id(text: str) -> str:
    """Returns an AMP set id in hex; as a JSON key LND writes it in hex or base64.

    Raises:
        ShapeError: It is neither, or not 32 bytes.
    """
    for decode in (bytes.fromhex, lambda each: base64.b64decode(each, validate=True)):
        try:
            data = decode(text[:100])
        except (ValueError, binascii.Error):
            continue
        if len(data) == 32:
            return data.hex()
    raise ShapeError("amp_invoice_state (set id)")
