"""Reads the extensions of x402 that a dispute needs: payment-identifier, offer-and-receipt.

Of a signed offer and receipt the digest is kept, which tells whether a document that somebody shows
is the one that was sent; the signature is not. The digest is the SHA-256 of the object's canonical
JSON (sorted keys, no spaces).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from masques_pipelines.rails.journal.messages import Requirements, mapping
from masques_pipelines.rails.journal.reading import UnreadableError, read_json
from masques_pipelines.rails.protocol import OFFER, PAYMENT_IDENTIFIER, RECEIPT, RECEIPT_AT
from masques_pipelines.rails.settlement_ids import payload_hash

_OFFER_RECEIPT: Final = "offer-receipt"
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OFFERS_MAX: Final = 32
_JWS_PARTS: Final = 3
_TIME_MAX_S: Final = 2**33


def attributes_of(
    sent: Mapping[str, Any], answered: Mapping[str, Any], required: Requirements
) -> dict[str, str]:
    """Returns what the extensions of a payment and of its answer say, as attributes.

    Args:
        sent: Extensions of the payment payload, which repeat those of the gate's offer.
        answered: Extensions of the answer.
        required: What was asked for: the offer of these terms is the one that was accepted.
    """
    receipt = mapping(_info(answered, _OFFER_RECEIPT).get("receipt"))
    issued_at = _payload(receipt).get("issuedAt")
    is_time = isinstance(issued_at, int) and 0 < issued_at < _TIME_MAX_S
    return {
        PAYMENT_IDENTIFIER: _identifier(sent),
        OFFER: _digest(_offer(_info(sent, _OFFER_RECEIPT).get("offers"), required)),
        RECEIPT: _digest(receipt),
        RECEIPT_AT: str(issued_at) if is_time else "",
    }


def _info(extensions: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(mapping(extensions.get(name)).get("info"))


def _identifier(sent: Mapping[str, Any]) -> str:
    found = _info(sent, "payment-identifier").get("id")
    return found if isinstance(found, str) and _IDENTIFIER.fullmatch(found) else ""


def _offer(offers: Any, required: Requirements) -> Mapping[str, Any]:
    """Returns the offer of the accepted terms; a single one needs no comparison."""
    found = [mapping(each) for each in offers[:_OFFERS_MAX]] if isinstance(offers, list) else []
    if len(found) == 1:
        return found[0]
    terms = (required.scheme, required.network, _lower(required.asset), _lower(required.pay_to))
    for each in found:
        said = _payload(each)
        if terms == (
            said.get("scheme"),
            said.get("network"),
            _lower(said.get("asset")),
            _lower(said.get("payTo")),
        ):
            return each
    return {}


def _lower(value: Any) -> str:
    return value.lower() if isinstance(value, str) else ""


def _payload(signed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what was signed: beside the signature, or inside it (JWS)."""
    if signed.get("format") != "jws":
        return mapping(signed.get("payload"))
    parts = str(signed.get("signature", "")).split(".")
    if len(parts) != _JWS_PARTS:
        return {}
    try:
        text = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode()
        return mapping(read_json(text))
    except (ValueError, binascii.Error, UnreadableError):
        return {}


def _digest(signed: Mapping[str, Any]) -> str:
    if not isinstance(signed.get("signature"), str):
        return ""
    try:
        return payload_hash(signed)
    except ValueError:  # text that is not Unicode
        return ""
