"""Parses L402 lines: the challenge with its invoice, and the request that shows it was paid.

A payment is its hash. The preimage proves that the hash was paid, and leaves nothing else behind.
"""

from collections.abc import Mapping
from typing import Any, Final

from masques_pipelines.rails.journal import headers as header
from masques_pipelines.rails.journal.amounts import amount_of, journal_at, nanoseconds
from masques_pipelines.rails.journal.facts import Facts
from masques_pipelines.rails.journal.messages import Line, LineError, mapping
from masques_pipelines.rails.journal.x402 import HTTP_REFUSED, resource_path
from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    JOURNAL_AT,
    AssetAllowList,
    Observation,
)
from masques_pipelines.rails.settlement_ids import lightning_payment

MSAT_DECIMALS: Final = 11
# The rail that pays L402 invoices.
LIGHTNING: Final = "lightning"
_RANK: Final = {"challenge": 0, "payment": 3}


def announced(
    line: Line, headers: Mapping[str, Any], allowed: AssetAllowList, facts: Facts
) -> Observation:
    """Returns the payment that a line announces.

    Raises:
        LineError: The line cannot be parsed; the text is the reason.
    """
    shows_token = header.has_l402_credentials(headers)
    is_payment = shows_token or line.event in ("payment", "settle")
    event = "payment" if is_payment else "challenge"
    facts.protocol = "l402"
    facts.kind = "settle" if is_payment else "challenge"
    facts.outcome = _outcome(line) if is_payment else "asked"
    network = allowed.network_of(LIGHTNING)
    if network is None:
        raise LineError("unknown:network")
    facts.network = network
    try:
        found = header.read_l402(
            headers,
            invoice=line.invoice or "",
            macaroon=line.macaroon or "",
            payment_hash=line.payment_hash or "",
        )
    except ValueError as error:
        raise LineError(_reason(str(error))) from error
    facts.reference = found.payment_hash
    facts.settlement_id = lightning_payment(found.payment_hash)
    invoice = found.invoice
    msat = invoice.amount_msat if invoice and invoice.amount_msat else line.amount_msat
    attributes = {
        JOURNAL_AT: journal_at(line.recorded_at, _RANK[event]),
        DEADLINE: str(invoice.expires_s) if invoice else "",
        "resource": resource_path(line.resource),
        "proof": "preimage" if found.is_paid else "",
        ANSWER: facts.outcome if is_payment else "verified",
    }
    return Observation(
        settlement_id=facts.settlement_id,
        source="intent",
        rail=LIGHTNING,
        network=network,
        direction="in",
        status="pending",
        amount=amount_of(msat or 0, MSAT_DECIMALS),
        currency="BTC",
        timestamp_ns=nanoseconds(line.recorded_at),
        payment_ref=found.payment_hash,
        tx_hash=found.payment_hash,
        protocol="l402",
        transaction_ids=line.named_transfers,
        attributes={name: value for name, value in attributes.items() if value},
    )


def _outcome(line: Line) -> str:
    """Returns what the gate said to a token: a refused one proves nothing about the gate's sale."""
    is_refused = line.http_status is not None and line.http_status >= HTTP_REFUSED
    if is_refused or mapping(line.response).get("success") is False:
        return "refused"
    return "success"


def _reason(text: str) -> str:
    for part in ("invoice", "payment hash", "preimage"):
        if part in text and "different" not in text:
            return f"bad_l402:{part.replace(' ', '_')}"
    return "bad_l402:token"
