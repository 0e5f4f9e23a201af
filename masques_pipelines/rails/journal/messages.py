"""Parses one line of the gate's journal: x402 in both versions and forms, and L402.

Macaroons, preimages, signatures and signed transactions are bearer secrets. None leaves this
module: an announced payment has no field for them, and of a rejected line only the values under
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
from masques_pipelines.rails.journal import l402
from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    FACILITATOR_SAID,
    JOURNAL_AT,
    Asset,
    AssetAllowList,
    Observation,
    Status,
)
from masques_pipelines.rails.settlement_ids import (
    attempt,
    base_authorization,
    caip2,
    lightning_payment,
    solana_transfer,
)
from masques_pipelines.rails.solana.addresses import associated_token_account, is_address

MSAT_DECIMALS: Final = 11
# The rail that pays L402 invoices.
_LIGHTNING: Final = "lightning"
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
    """A line that cannot be parsed; the text is the reason, `kind:field`."""


@dataclass(frozen=True)
class _Demand:
    """What a message asks for: when, in which step, on which network, and which payment."""

    at: datetime
    event: str
    rail: str
    network: str
    asset: Asset
    required: Mapping[str, Any]


def announced(line: str, allowed: AssetAllowList) -> Observation | None:
    """Returns the payment that a line announces, None when it announces none.

    A rejected verification is not followed by a settlement. A verification on Solana or by Permit2
    does not name anything yet that the chain will show; the settlement that follows it does.

    Raises:
        LineError: The line cannot be parsed; the text is the reason.
    """
    record = _object(line)
    at = _time(record.get("recorded_at"))
    headers = {str(k).lower(): v for k, v in _mapping(record.get("headers")).items()}
    is_l402 = "l402" in str(record.get("protocol", "")).lower() or bool(
        {"www-authenticate", "authorization"} & set(headers)
    )
    if is_l402:
        return _l402(record, headers, at, allowed)
    return _x402(record, headers, at, allowed)


def harmless(line: str) -> str:
    """Returns what may be kept of a line that could not be parsed."""
    try:
        record = json.loads(line)
    except ValueError:
        return f"[{len(line)} characters that are not JSON]"
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
    record: Mapping[str, Any], headers: Mapping[str, Any], at: datetime, allowed: AssetAllowList
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
    network = caip2(_text(payload, "network") or _text(required, "network"))
    asset = allowed.assets.get((network, _address(network, _text(required, "asset"))))
    rail = allowed.rail_of(network)
    if asset is None or rail is None:
        raise LineError("unknown:asset" if network else "missing:network")
    intent = _common(record, _Demand(at, event, rail, network, asset, required), payload)
    intent = _with_answer(intent, event, response)
    if network.startswith("solana:"):
        return _on_solana(intent, event, payload, required)
    return _on_evm(intent, event, payload, asset.decimals)


def _common(record: Mapping[str, Any], asked: _Demand, payload: Mapping[str, Any]) -> Observation:
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
        settlement_id=uuid.UUID(int=0),  # set below, by the kind of network
        source="intent",
        rail=asked.rail,
        network=network,
        direction="in",
        status="pending",
        amount=_amount(amount, asset.decimals),
        currency=asset.symbol,
        timestamp_ns=int(at.timestamp()) * 10**9 + at.microsecond * 1000,
        asset=asset.address,
        to_address=_address(network, _text(required, "payTo")),
        protocol="x402",
        transaction_ids=_transaction_ids(record),
        attributes={name: value for name, value in attributes.items() if value},
    )


def _with_answer(intent: Observation, event: str, response: Any) -> Observation:
    """Adds the facilitator's answer, which does not decide anything."""
    if event == "verify":
        return replace(intent, attributes={**intent.attributes, ANSWER: "verified"})
    answer = _mapping(response)
    status: Status = "pending"
    word = "success" if answer.get("success") is True else "refused"
    if not isinstance(answer.get("success"), bool):
        # No answer, or not a valid one: the transaction may be on its way.
        status, said, word = "unknown", "nothing", "unanswered"
    elif answer["success"]:
        said = "success"
    else:
        reason = str(answer.get("errorReason") or "no reason")
        if answer.get("transaction"):
            word = "pending" if "pending" in reason else "failed"
        said = f"failure: {reason if _HARMLESS.fullmatch(reason) else _DROPPED}"
    tx_hash = _text(answer, "transaction")
    return replace(
        intent,
        status=status,
        failure_reason="no_answer" if status == "unknown" else "",
        tx_hash=_address(intent.network, tx_hash),
        payer=_address(intent.network, _text(answer, "payer")),
        attributes={**intent.attributes, FACILITATOR_SAID: said, ANSWER: word},
    )


def _on_evm(
    intent: Observation, event: str, payload: Mapping[str, Any], decimals: int
) -> Observation | None:
    inner = _mapping(payload.get("payload"))
    signed = _mapping(inner.get("authorization"))
    if not signed:
        permit = _mapping(inner.get("permit2Authorization"))
        if event == "verify":
            return None
        deadline = str(permit.get("deadline") or intent.attributes[DEADLINE])
        return replace(
            intent,
            settlement_id=attempt(intent.rail, payload),
            payer=_text(permit, "from").lower() or intent.payer,
            attributes={**intent.attributes, DEADLINE: deadline},
        )
    nonce, payer = _text(signed, "nonce").lower(), _text(signed, "from").lower()
    if not re.fullmatch(r"0x[0-9a-f]{64}", nonce) or not re.fullmatch(r"0x[0-9a-f]{40}", payer):
        raise LineError("bad_hex:authorization")
    if not _text(signed, "validBefore").isdigit():
        raise LineError("bad_number:validBefore")
    return replace(
        intent,
        settlement_id=base_authorization(intent.network, intent.asset, payer, nonce),
        payer=payer,
        payment_ref=nonce,
        to_address=_text(signed, "to").lower(),
        amount=_amount(signed.get("value"), decimals),
        # The chain does what was signed, not what was asked for.
        attributes={**intent.attributes, DEADLINE: _text(signed, "validBefore")},
    )


def _on_solana(
    intent: Observation, event: str, payload: Mapping[str, Any], required: Mapping[str, Any]
) -> Observation | None:
    if event == "verify":
        return None
    owner = _text(required, "payTo")
    if not intent.tx_hash:
        return replace(intent, settlement_id=attempt(intent.rail, payload))
    if not is_address(owner):
        raise LineError("bad_address:payTo")
    account = associated_token_account(owner, intent.asset)
    return replace(
        intent,
        settlement_id=solana_transfer(intent.network, intent.tx_hash, account),
        payment_ref=intent.tx_hash,
    )


def _l402(
    record: Mapping[str, Any], headers: Mapping[str, Any], at: datetime, allowed: AssetAllowList
) -> Observation:
    network = allowed.networks.get(_LIGHTNING)
    if network is None:
        raise LineError("unknown:network")
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
        ANSWER: "success" if event == "payment" else "verified",
    }
    return Observation(
        settlement_id=lightning_payment(payment_hash),
        source="intent",
        rail=_LIGHTNING,
        network=network,
        direction="in",
        status="pending",
        amount=_amount(amount_msat, MSAT_DECIMALS) if amount_msat else Decimal(0),
        currency="BTC",
        timestamp_ns=int(at.timestamp()) * 10**9 + at.microsecond * 1000,
        payment_ref=payment_hash,
        tx_hash=payment_hash,
        protocol="l402",
        transaction_ids=_transaction_ids(record),
        attributes={name: value for name, value in attributes.items() if value},
    )


def _l402_payment(
    record: Mapping[str, Any], headers: Mapping[str, Any]
) -> tuple[str, l402.Invoice | None]:
    """Returns the payment hash, and the invoice if there is one; they have to agree."""
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
    """Returns the requirements: beside the payload, inside it (version 2), or in the 402."""
    found = _mapping(request.get("paymentRequirements")) or _mapping(payload.get("accepted"))
    if found:
        return found
    asked = _header(headers, "payment-required") or _mapping(request.get("paymentRequired"))
    offers = [_mapping(each) for each in asked.get("accepts", ())]
    chosen = (_text(payload, "scheme"), _text(payload, "network"))
    for offer in offers:
        if (_text(offer, "scheme"), _text(offer, "network")) == chosen:
            return offer
    raise LineError("missing:paymentRequirements")


def _header(headers: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns the JSON object, base64, of the first of the named headers that is present."""
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
    """Returns what was paid for, without the query and the credentials of its URL."""
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


def _transaction_ids(record: Mapping[str, Any]) -> tuple[uuid.UUID, ...]:
    one = _transaction_id(record.get("transaction_id"))
    return (one,) if one else ()


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
