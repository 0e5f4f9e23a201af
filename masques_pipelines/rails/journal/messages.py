"""One line of the gate's journal, read: x402 in both versions and forms, L402.

Here: from a line to an announced payment, and what may be kept of a line that cannot be read.
Not here: files and cursors (journal.py).
A re-run reads the same: the functions are pure.

Macaroons, preimages, signatures and signed transactions are bearer secrets. None leaves this
module: an announced payment has no field for them, and of an unreadable line only the values of
names that are known to be harmless are kept.
"""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails import settlement_ids as identity
from masques_pipelines.rails.journal import l402
from masques_pipelines.rails.protocol import (
    Asset,
    Observation,
    Status,
)
from masques_pipelines.rails.revisions import DEADLINE, FACILITATOR_SAID, JOURNAL_AT
from masques_pipelines.rails.solana import addresses as solana_addresses

MSAT_DECIMALS: Final = 11
# A Solana transaction dies with its blockhash, about 150 blocks (60 to 90 s) after it was signed.
BLOCKHASH_LIFE_S: Final = 150

_RANK: Final = {"challenge": 0, "verify": 1, "settle": 2, "payment": 3}
_KEPT: Final = frozenset(
    {
        "accepted", "accepts", "amount", "amount_msat", "asset", "authorization", "errorReason",
        "event", "from", "headers", "http_status", "isValid", "invalidReason", "maxAmountRequired",
        "maxTimeoutSeconds", "network", "nonce", "payTo", "payer", "payload", "paymentPayload",
        "paymentRequirements", "protocol", "recorded_at", "request", "response", "scheme",
        "success", "to", "transaction_id", "validAfter", "validBefore", "value", "x402Version",
    }
)  # fmt: skip
_HARMLESS: Final = re.compile(r"[\w.:+ -]{0,100}")
_HARMLESS_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_DROPPED: Final = "[dropped]"
_CHALLENGE: Final = re.compile(r'(?P<name>\w+)\s*=\s*"(?P<value>[^"]*)"')


class LineError(Exception):
    """A line that is no announcement; the text is the reason, `kind:field`."""


@dataclass(frozen=True)
class Known:
    """What the settings say about money.

    Attributes:
        assets: Allowed tokens by (CAIP-2 network, address); EVM addresses in lower case.
        lightning_network: CAIP-2 id of the chain under the Lightning node.
    """

    assets: Mapping[tuple[str, str], Asset]
    lightning_network: str


@dataclass(frozen=True)
class _Asked:
    """What of a message was found before its payment: when, which step, where, and for what."""

    at: datetime
    event: str
    network: str
    asset: Asset
    required: Mapping[str, Any]


def announced(line: str, known: Known) -> Observation | None:
    """Returns the payment that a line announces, None when it announces none.

    A refused verification is followed by no settlement. A verification on Solana or by Permit2
    names nothing yet that the chain will show; the settlement that follows it does.

    Raises:
        LineError: The line cannot be read; the text is the reason.
    """
    record = _object(line)
    at = _time(record.get("recorded_at"))
    headers = {str(k).lower(): v for k, v in _mapping(record.get("headers")).items()}
    is_l402 = "l402" in str(record.get("protocol", "")).lower() or bool(
        {"www-authenticate", "authorization"} & set(headers)
    )
    if is_l402:
        return _l402(record, headers, at, known)
    return _x402(record, headers, at, known)


def harmless(line: str) -> str:
    """Returns what may be kept of a line that could not be read."""
    try:
        record = json.loads(line)
    except ValueError:
        return f"[{len(line)} characters that are no JSON]"
    return json.dumps(_kept(record), sort_keys=True, ensure_ascii=False)


def _kept(value: Any, *, is_known: bool = True) -> Any:
    if isinstance(value, dict):
        return {
            (name if _HARMLESS_NAME.fullmatch(name) else _DROPPED): _kept(
                each, is_known=name in _KEPT
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_kept(each, is_known=is_known) for each in value]
    if isinstance(value, bool | int) or value is None:
        return value
    return value if is_known and _HARMLESS.fullmatch(str(value)) else _DROPPED


def _x402(
    record: Mapping[str, Any], headers: Mapping[str, Any], at: datetime, known: Known
) -> Observation | None:
    request = _mapping(record.get("request"))
    payload = _mapping(request.get("paymentPayload")) or _header(
        headers, "payment-signature", "x-payment"
    )
    response = record.get("response")
    if response is None:
        response = _header(headers, "payment-response", "x-payment-response") or None
    if not payload:
        raise LineError("missing:paymentPayload")
    event = record.get("event") or ("settle" if response is not None else "verify")
    if event not in ("verify", "settle"):
        raise LineError("unknown:event")
    answer = _mapping(response)
    if event == "verify" and answer.get("isValid") is False:
        return None
    required = _requirements(request, headers, payload)
    network = identity.caip2(_text(payload, "network") or _text(required, "network"))
    asset = known.assets.get((network, _address(network, _text(required, "asset"))))
    if asset is None:
        raise LineError("unknown:asset" if network else "missing:network")
    base = _common(record, _Asked(at, event, network, asset, required), payload)
    base = _with_outcome(base, event, response)
    if network.startswith("solana:"):
        return _on_solana(base, event, payload, required)
    return _on_base(base, event, payload, asset.decimals)


def _common(record: Mapping[str, Any], asked: _Asked, payload: Mapping[str, Any]) -> Observation:
    at, event, network = asked.at, asked.event, asked.network
    asset, required = asked.asset, asked.required
    amount = required.get("amount", required.get("maxAmountRequired"))
    timeout_s = int(required.get("maxTimeoutSeconds") or 0)
    attributes = {
        JOURNAL_AT: f"{at:%Y-%m-%dT%H:%M:%S.%f}#{_RANK[event]}",
        DEADLINE: str(int(at.timestamp()) + max(timeout_s, BLOCKHASH_LIFE_S)),
        "scheme": _text(payload, "scheme") or _text(required, "scheme"),
        "resource": _resource(record, payload, required),
        "payment_identifier": _identifier(payload),
        "memo": str(_mapping(required.get("extra")).get("memo", "")),
    }
    return Observation(
        settlement_id=uuid.UUID(int=0),  # by the rail, below
        source="intent",
        rail="solana" if network.startswith("solana:") else "base",
        network=network,
        direction="in",
        status="pending",
        amount=_amount(amount, asset.decimals),
        currency=asset.symbol,
        timestamp_ns=int(at.timestamp()) * 10**9 + at.microsecond * 1000,
        asset=asset.address,
        to_address=_address(network, _text(required, "payTo")),
        protocol="x402",
        transaction_id=_transaction_id(record.get("transaction_id")),
        attributes={name: value for name, value in attributes.items() if value},
    )


def _with_outcome(base: Observation, event: str, response: Any) -> Observation:
    """Adds what the facilitator answered; it decides nothing."""
    if event == "verify":
        return base
    answer = _mapping(response)
    status: Status = "pending"
    if not isinstance(answer.get("success"), bool):
        # No answer, or one that is none: the transaction may be on its way.
        status, said = "unknown", "nothing"
    elif answer["success"]:
        said = "success"
    else:
        reason = str(answer.get("errorReason") or "no reason")
        said = f"failure: {reason if _HARMLESS.fullmatch(reason) else _DROPPED}"
    tx_hash = _text(answer, "transaction")
    return replace(
        base,
        status=status,
        failure_reason="no_answer" if status == "unknown" else "",
        tx_hash=tx_hash.lower() if base.rail == "base" else tx_hash,
        payer=_address(base.network, _text(answer, "payer")),
        attributes={**base.attributes, FACILITATOR_SAID: said},
    )


def _on_base(
    base: Observation, event: str, payload: Mapping[str, Any], decimals: int
) -> Observation | None:
    inner = _mapping(payload.get("payload"))
    signed = _mapping(inner.get("authorization"))
    if not signed:
        permit = _mapping(inner.get("permit2Authorization"))
        if event == "verify":
            return None
        deadline = str(permit.get("deadline") or base.attributes[DEADLINE])
        return replace(
            base,
            settlement_id=identity.attempt("base", payload),
            payer=_text(permit, "from").lower() or base.payer,
            attributes={**base.attributes, DEADLINE: deadline},
        )
    nonce, payer = _text(signed, "nonce").lower(), _text(signed, "from").lower()
    if not re.fullmatch(r"0x[0-9a-f]{64}", nonce) or not re.fullmatch(r"0x[0-9a-f]{40}", payer):
        raise LineError("bad_hex:authorization")
    if not _text(signed, "validBefore").isdigit():
        raise LineError("bad_number:validBefore")
    return replace(
        base,
        settlement_id=identity.base_authorization(base.network, base.asset, payer, nonce),
        payer=payer,
        payment_ref=nonce,
        to_address=_text(signed, "to").lower(),
        amount=_amount(signed.get("value"), decimals),
        # What was signed, not what was asked for, is what the chain will do.
        attributes={**base.attributes, DEADLINE: _text(signed, "validBefore")},
    )


def _on_solana(
    base: Observation, event: str, payload: Mapping[str, Any], required: Mapping[str, Any]
) -> Observation | None:
    if event == "verify":
        return None
    owner = _text(required, "payTo")
    if not base.tx_hash:
        return replace(base, settlement_id=identity.attempt("solana", payload))
    if not solana_addresses.is_address(owner):
        raise LineError("bad_address:payTo")
    account = solana_addresses.associated_token_account(owner, base.asset)
    return replace(
        base,
        settlement_id=identity.solana_transfer(base.network, base.tx_hash, account),
        payment_ref=base.tx_hash,
    )


def _l402(
    record: Mapping[str, Any], headers: Mapping[str, Any], at: datetime, known: Known
) -> Observation:
    try:
        payment_hash, invoice = _l402_payment(record, headers)
    except ValueError as error:
        raise LineError(
            "bad_l402:" + ("invoice" if "invoice" in str(error) else "token")
        ) from error
    event = "payment" if "authorization" in headers else "challenge"
    amount_msat = record.get("amount_msat")
    if invoice is not None and invoice.amount_msat is not None:
        amount_msat = invoice.amount_msat
    attributes = {
        JOURNAL_AT: f"{at:%Y-%m-%dT%H:%M:%S.%f}#{_RANK[event]}",
        DEADLINE: str(invoice.expires_s) if invoice else "",
        "resource": _resource(record, {}, {}),
        "proof": "preimage" if event == "payment" else "",
    }
    return Observation(
        settlement_id=identity.lightning_payment(payment_hash),
        source="intent",
        rail="lightning",
        network=known.lightning_network,
        direction="in",
        status="pending",
        amount=_amount(amount_msat, MSAT_DECIMALS) if amount_msat else Decimal(0),
        currency="BTC",
        timestamp_ns=int(at.timestamp()) * 10**9 + at.microsecond * 1000,
        payment_ref=payment_hash,
        tx_hash=payment_hash,
        protocol="l402",
        transaction_id=_transaction_id(record.get("transaction_id")),
        attributes={name: value for name, value in attributes.items() if value},
    )


def _l402_payment(
    record: Mapping[str, Any], headers: Mapping[str, Any]
) -> tuple[str, l402.Invoice | None]:
    """Returns the payment hash and the invoice, if it is there; they have to agree."""
    challenge = dict(_CHALLENGE.findall(str(headers.get("www-authenticate", ""))))
    invoice_text = challenge.get("invoice") or str(record.get("invoice") or "")
    invoice = l402.read_invoice(invoice_text) if invoice_text else None
    hashes = {invoice.payment_hash} if invoice else set()
    token = challenge.get("macaroon") or challenge.get("token") or str(record.get("macaroon") or "")
    scheme, _, credentials = str(headers.get("authorization", "")).partition(" ")
    if scheme.lower() in ("l402", "lsat"):
        token, _, preimage = credentials.strip().rpartition(":")
        hashes.add(l402.hash_of_preimage(preimage))
    if token:
        hashes.add(l402.hash_in_macaroon(token))
    named = str(record.get("payment_hash") or "").lower()
    if named:
        hashes.add(named)
    if len(hashes) != 1:
        raise ValueError("the token, the invoice and the preimage are of different payments")
    return hashes.pop(), invoice


def _requirements(
    request: Mapping[str, Any], headers: Mapping[str, Any], payload: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what was asked for: beside the payload, inside it (version 2), or in the 402."""
    found = _mapping(request.get("paymentRequirements")) or _mapping(payload.get("accepted"))
    if found:
        return found
    asked = _header(headers, "payment-required") or _mapping(request.get("paymentRequired"))
    offers = [_mapping(each) for each in asked.get("accepts", ())]
    wanted = (_text(payload, "scheme"), _text(payload, "network"))
    for offer in offers:
        if (_text(offer, "scheme"), _text(offer, "network")) == wanted:
            return offer
    raise LineError("missing:paymentRequirements")


def _header(headers: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns the JSON object in the first of the named headers that is there; base64."""
    for name in names:
        if headers.get(name):
            try:
                return _mapping(json.loads(base64.b64decode(str(headers[name]))))
            except (ValueError, binascii.Error) as error:
                raise LineError(f"bad_header:{name}") from error
    return {}


def _resource(
    record: Mapping[str, Any], payload: Mapping[str, Any], required: Mapping[str, Any]
) -> str:
    """Returns what was paid for, without the query and credentials that a URL may hold."""
    found = _mapping(payload.get("resource")).get("url") or required.get("resource")
    parts = urlsplit(str(found or record.get("resource") or ""))
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:500] if host else parts.path[:500]


def _identifier(payload: Mapping[str, Any]) -> str:
    extension = _mapping(_mapping(payload.get("extensions")).get("payment-identifier"))
    return str(_mapping(extension.get("info")).get("id", ""))[:128]


def _object(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise LineError("invalid_json:line") from error
    if not isinstance(record, dict):
        raise LineError("not_an_object:line")
    return record


def _time(value: Any) -> datetime:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise LineError("bad_timestamp:recorded_at") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _transaction_id(value: Any) -> uuid.UUID | None:
    """Returns a ledger transfer's id: a UUID, or the ledger's own number."""
    if value in (None, ""):
        return None
    text = str(value)
    try:
        return uuid.UUID(int=int(text)) if text.isdigit() else uuid.UUID(text)
    except ValueError as error:
        raise LineError("bad_uuid:transaction_id") from error


def _amount(units: Any, decimals: int) -> Decimal:
    text = str(units)
    if not text.isdigit():
        raise LineError("bad_number:amount")
    amount = whole_units(int(text), decimals)
    if not is_representable(amount):
        raise LineError("out_of_range:amount")
    return amount


def _address(network: str, address: str) -> str:
    return address.lower() if network.startswith("eip155:") else address


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(mapping: Mapping[str, Any], name: str) -> str:
    value = mapping.get(name)
    return value if isinstance(value, str) else ""
