"""Parses x402 lines, both versions and both forms, into the payment that they announce.

The scheme decides how a payment is identified and whether a chain can be asked about it:

- `exact` by EIP-3009 and on Solana: by what the chain itself shows.
- `exact` and `upto` by Permit2: by the attempt; the chain's own row is found by its transaction.
- batch-settlement: by the channel and what it has paid; the chain shows the claim of many of them.
- Circle Gateway: by payer and nonce; a batch settles many, and names none of them.
- Unknown schemes, networks that are not read: by the attempt, and not followed.

The gate's own requirements come before what the client repeats of them.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.journal import extensions
from masques_pipelines.rails.journal import headers as header
from masques_pipelines.rails.journal.amounts import amount_of, journal_at, nanoseconds
from masques_pipelines.rails.journal.facts import (
    EVM_NAMESPACE,
    SOLANA_NAMESPACE,
    Facts,
    address_of,
    required_address,
    shown_transaction,
    transaction_of,
)
from masques_pipelines.rails.journal.messages import (
    Answer,
    Authorization,
    Channel,
    ChannelPaid,
    Line,
    LineError,
    Payment,
    Permit,
    Requirements,
    Voucher,
    mapping,
    parsed,
)
from masques_pipelines.rails.journal.reading import UnreadableError, read_header
from masques_pipelines.rails.journal.reasons import known_reason
from masques_pipelines.rails.journal.schemes import known_network, known_scheme
from masques_pipelines.rails.protocol import (
    AMOUNT_MAX,
    ANSWER,
    CHANNEL,
    CHARGED_TOTAL,
    DEADLINE,
    FACILITATOR_SAID,
    GATEWAY_TRANSFER,
    JOURNAL_AT,
    NO_ID,
    WITHDRAW_DELAY,
    Asset,
    AssetAllowList,
    Observation,
    Status,
)
from masques_pipelines.rails.settlement_ids import (
    attempt_of_hash,
    base_authorization,
    caip2,
    gateway_transfer,
    payload_hash,
    permit,
    solana_transfer,
    voucher,
)
from masques_pipelines.rails.solana.addresses import associated_token_account

# A Solana transaction dies with its blockhash, about 150 blocks (60 to 90 s) after it was signed.
BLOCKHASH_LIFE_S: Final = 150
# The rail of a payment on a network that none of ours reads.
OTHER_RAIL: Final = "other"
HTTP_REFUSED: Final = 400
# Circle Gateway collects signed transfers and settles them on a chain of its choice.
_GATEWAY: Final = "GatewayWalletBatched"
_RANK: Final = {"verify": 1, "settle": 2}
_RESOURCE_CHARACTERS: Final = 500
# No URL has these; a dictionary that was printed, a sentence or a header has.
_NO_URL: Final = re.compile(r"[\s\"'{}<>\\^`|]")
_MEMO_CHARACTERS: Final = 256
_HASH: Final = re.compile(r"[0-9a-f]{64}")
# Gateway answers its own id of a transfer, where other facilitators answer a transaction.
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True)
class Bodies:
    """The messages of a line, out of its bodies or its headers.

    Attributes:
        payload: The payment payload; empty for none.
        requirements: What the gate asked for, where the line says it beside the payload.
        response: The facilitator's answer; None for none, or none that can be read.
        is_answered: Whether there is an answer at all.
    """

    payload: Mapping[str, Any]
    requirements: Mapping[str, Any]
    response: Mapping[str, Any] | None
    is_answered: bool


@dataclass(frozen=True)
class _Case:
    """One payment while it is read."""

    line: Line
    bodies: Bodies
    payment: Payment
    required: Requirements
    answer: Answer
    facts: Facts
    decimals: int = 0

    @property
    def signed(self) -> Mapping[str, Any]:
        return mapping(self.payment.payload)

    @property
    def scheme(self) -> str:
        return (self.required.scheme or self.payment.scheme or "exact").lower()


def bodies_of(line: Line, headers: Mapping[str, Any]) -> Bodies:
    """Returns the messages of a line.

    Raises:
        LineError: The header that holds the payment cannot be decoded.
    """
    request = mapping(line.request)
    payload = mapping(request.get("paymentPayload"))
    if not payload:
        for name in ("payment-signature", "x-payment"):
            if text := header.single(headers, name):
                try:
                    payload = read_header(text)
                except UnreadableError as error:
                    raise LineError(f"bad_header:{name}") from error
                break
    response: Mapping[str, Any] | None = line.response
    is_answered = response is not None
    for name in ("payment-response", "x-payment-response"):
        if not is_answered and (text := header.single(headers, name)):
            is_answered = True
            response = _decoded(text)
    return Bodies(payload, _asked(request, headers, payload), response, is_answered)


def _asked(
    request: Mapping[str, Any], headers: Mapping[str, Any], payload: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Returns the requirements: the gate's, inside the payload (version 2), or of the 402."""
    found = mapping(request.get("paymentRequirements")) or mapping(payload.get("accepted"))
    if found:
        return found
    asked = mapping(request.get("paymentRequired"))
    if not asked and (text := header.single(headers, "payment-required")):
        asked = _decoded(text) or {}
    offers = asked.get("accepts")
    for offer in offers if isinstance(offers, list) else ():
        each = mapping(offer)
        if (each.get("scheme"), each.get("network")) == (
            payload.get("scheme"),
            payload.get("network"),
        ):
            return each
    return {}


def _decoded(text: str) -> Mapping[str, Any] | None:
    try:
        return read_header(text)
    except UnreadableError:
        return None


def announced(
    line: Line, bodies: Bodies, allowed: AssetAllowList, facts: Facts
) -> Observation | None:
    """Returns the payment that a line announces, None when it announces none.

    Raises:
        LineError: The line cannot be parsed; the text is the reason.
    """
    event = line.event or ("settle" if bodies.is_answered else "verify")
    if event not in _RANK:
        raise LineError("unknown:event")
    answer = parsed(Answer, dict(bodies.response or {}))
    facts.protocol, facts.kind = "x402", "verify" if event == "verify" else "settle"
    facts.error_reason = known_reason(answer.error_reason or answer.invalid_reason or "")
    payment = parsed(Payment, bodies.payload, name="paymentPayload")
    facts.outcome = _outcome(event, answer, line)
    if not bodies.requirements:
        raise LineError("missing:paymentRequirements")
    required = parsed(Requirements, bodies.requirements, name="paymentRequirements")
    case = _Case(line, bodies, payment, required, answer, facts)
    facts.scheme = known_scheme(case.scheme)
    network = caip2(required.network or payment.network or "")
    facts.network = network if network in allowed.networks else known_network(network)
    if event == "verify" and answer.is_valid is False:
        facts.rule = "refused_verification"
        return None
    if not network:
        raise LineError("missing:network")
    rail = allowed.rail_of(network)
    if rail is None:
        return _elsewhere(case)
    asset = allowed.assets.get((network, _asset_of(network, required.asset)))
    if asset is None:
        raise LineError("unknown:asset")
    intent = _common(case, event, rail, network, asset)
    return _by_scheme(replace(case, decimals=asset.decimals), event, intent)


def _by_scheme(case: _Case, event: str, intent: Observation) -> Observation | None:
    signed = case.signed
    if mapping(case.required.extra).get("name") == _GATEWAY:
        return _by_gateway(case, intent)
    if case.scheme == "batch-settlement" or signed.get("type") in ("voucher", "deposit"):
        return _voucher(case, event, intent)
    is_solana = intent.network.startswith(SOLANA_NAMESPACE)
    is_evm = intent.network.startswith(EVM_NAMESPACE)
    if not ((is_solana or is_evm) and case.scheme == "exact") and not (
        is_evm and case.scheme == "upto"
    ):
        return _untracked(case, intent, accepted="not_followed")
    if is_solana:
        return _on_solana(case, event, intent)
    if signed.get("permit2Authorization") or case.scheme == "upto":
        return _by_permit(case, event, intent)
    return _by_authorization(case, intent)


def _outcome(event: str, answer: Answer, line: Line) -> str:
    """Returns what the answer proves, a word of protocol.Answer."""
    is_refused = line.http_status is not None and line.http_status >= HTTP_REFUSED
    if event == "verify":
        if answer.is_valid is None:
            return "refused" if is_refused else "unanswered"
        return "verified" if answer.is_valid else "refused"
    if answer.success is None:
        return "unanswered"
    if answer.success:
        return "success"
    if not answer.transaction:
        return "refused"
    return "pending" if "pending" in (answer.error_reason or "") else "failed"


def _common(case: _Case, event: str, rail: str, network: str, asset: Asset | None) -> Observation:
    """Returns what all schemes have in common; the amount is what was asked for."""
    line, required, answer = case.line, case.required, case.answer
    timeout_s = required.max_timeout_seconds or 0
    tx_hash = transaction_of(network, answer.transaction)
    attributes = {
        JOURNAL_AT: journal_at(line.recorded_at, _RANK[event]),
        DEADLINE: str(int(line.recorded_at.timestamp()) + max(timeout_s, BLOCKHASH_LIFE_S)),
        ANSWER: case.facts.outcome,
        "scheme": case.facts.scheme,
        "resource": _resource(case),
        **extensions.attributes_of(
            mapping(case.payment.extensions), mapping(answer.extensions), required
        ),
        "memo": _memo(required),
        FACILITATOR_SAID: _said(case, event),
    }
    if answer.transaction and not tx_hash:
        attributes["facilitator_transaction"] = shown_transaction(answer.transaction)
    status: Status = "pending"
    if event == "settle" and case.facts.outcome == "unanswered":
        status = "unknown"  # the transaction may be on its way
    case.facts.reference = tx_hash
    return Observation(
        settlement_id=case.facts.settlement_id,  # set by the scheme
        source="intent",
        rail=rail,
        network=network,
        direction="in",
        status=status,
        amount=Decimal(0) if asset is None else _asked_amount(case, asset),
        currency=asset.symbol if asset else "",
        timestamp_ns=nanoseconds(line.recorded_at),
        asset=asset.address if asset else address_of(network, required.asset),
        to_address=address_of(network, required.pay_to),
        payer=address_of(network, answer.payer),
        protocol="x402",
        tx_hash=tx_hash,
        failure_reason="no_answer" if status == "unknown" else "",
        transaction_ids=line.named_transfers,
        attributes={name: value for name, value in attributes.items() if value},
    )


def _asked_amount(case: _Case, asset: Asset) -> Decimal:
    """Returns what was asked for; a signed authorization says it itself."""
    if case.required.amount is None and case.signed.get("authorization"):
        return Decimal(0)
    return amount_of(case.required.amount, asset.decimals)


def _by_authorization(case: _Case, intent: Observation) -> Observation:
    """EIP-3009: identified by payer and nonce before it is sent, when replaced, and when mined."""
    if not case.signed.get("authorization"):
        raise LineError("missing:authorization")
    signed = parsed(Authorization, case.signed["authorization"], name="authorization")
    case.facts.reference = signed.nonce
    return replace(
        intent,
        settlement_id=base_authorization(intent.network, intent.asset, signed.from_, signed.nonce),
        payer=signed.from_,
        payment_ref=signed.nonce,
        # The chain does what was signed, not what was asked for.
        to_address=signed.to,
        amount=amount_of(signed.value, case.decimals, "value"),
        attributes={**intent.attributes, DEADLINE: str(signed.valid_before)},
    )


def _by_permit(case: _Case, event: str, intent: Observation) -> Observation | None:
    """Permit2: the chain shows a plain transfer, found by the transaction that the answer names."""
    if event == "verify":
        case.facts.rule = "names_no_payment"
        return None
    signed = parsed(Permit, case.signed.get("permit2Authorization") or {})
    if _charged_nothing(case, intent):
        case.facts.rule = "nothing_charged"
        return None
    payer, found = signed.from_ or intent.payer, _attempt(case, intent.rail)
    if signed.nonce is not None and payer:
        # In whichever form the payload comes: a header leaves out what a body has as null.
        found = permit(intent.network, payer, signed.nonce)
        case.facts.reference = case.facts.reference or str(signed.nonce)
    deadline = intent.attributes[DEADLINE] if signed.deadline is None else str(signed.deadline)
    announcement = replace(
        intent,
        settlement_id=found,
        payer=payer,
        payment_ref="" if signed.nonce is None else str(signed.nonce),
        attributes={**intent.attributes, DEADLINE: deadline},
    )
    return _charged(case, announcement, signed.permitted.amount if signed.permitted else None)


def _charged_nothing(case: _Case, intent: Observation) -> bool:
    """Returns whether a payment of `upto` was settled without money: then on no chain."""
    if case.scheme != "upto" or not case.answer.success or case.answer.transaction:
        return False
    charged = case.answer.charged
    return intent.amount == 0 if charged is None else charged == 0


def _on_solana(case: _Case, event: str, intent: Observation) -> Observation | None:
    if event == "verify":
        case.facts.rule = "names_no_payment"
        return None
    if not intent.tx_hash:
        return replace(intent, settlement_id=_attempt(case, intent.rail))
    owner = required_address(intent.network, case.required.pay_to, "payTo")
    account = associated_token_account(owner, intent.asset)
    return replace(
        intent,
        settlement_id=solana_transfer(intent.network, intent.tx_hash, account),
        payment_ref=intent.tx_hash,
        payers_id=solana_transfer(intent.network, intent.tx_hash, account, intent.payer)
        if intent.payer
        else NO_ID,
    )


def _by_gateway(case: _Case, intent: Observation) -> Observation:
    """Circle Gateway: identified by payer and nonce, which its own list of transfers names too."""
    found = _untracked(case, intent, accepted="off_chain")
    if not case.signed.get("authorization"):
        return found
    signed = parsed(Authorization, case.signed["authorization"], name="authorization")
    case.facts.reference = signed.nonce
    transfer = case.answer.transaction or ""
    attributes = {**found.attributes, DEADLINE: str(signed.valid_before)}
    attributes.pop("facilitator_transaction", None)
    if _UUID.fullmatch(transfer):
        attributes[GATEWAY_TRANSFER] = transfer.lower()
    return replace(
        found,
        settlement_id=gateway_transfer(intent.network, signed.from_, signed.nonce),
        payer=signed.from_,
        payment_ref=signed.nonce,
        # Gateway does what was signed, not what was asked for.
        to_address=signed.to,
        amount=amount_of(signed.value, case.decimals, "value"),
        attributes=attributes,
    )


def _voucher(case: _Case, event: str, intent: Observation) -> Observation | None:
    """batch-settlement: a voucher of a channel, claimed later together with others.

    Vouchers are cumulative, so a payment is what its channel has paid after it: known once the
    gate has accepted it.
    """
    if case.signed.get("type") not in ("voucher", "deposit"):
        case.facts.rule = "channel_action"  # claims and sweeps are read from the chain
        return None
    if event == "verify" or case.facts.outcome == "pending":
        case.facts.rule = "names_no_payment"
        return None
    channel = parsed(Channel, mapping(case.signed.get("channelConfig")))
    signed = parsed(Voucher, mapping(case.signed.get("voucher")))
    found = _untracked(case, intent, accepted="off_chain")
    attributes = dict(found.attributes)
    attributes.pop(DEADLINE, None)
    found = replace(
        found,
        payer=channel.payer or found.payer,
        to_address=channel.receiver or found.to_address,
        attributes=attributes,
    )
    total = _charged_total(case, signed)
    if found.status != "off_chain" or not signed.channel_id or not total:
        return found
    if found.amount == 0:
        case.facts.rule = "nothing_charged"
        return None
    if found.amount > whole_units(total, case.decimals):
        raise LineError("out_of_range:chargedCumulativeAmount")
    case.facts.reference = signed.channel_id
    attributes |= {CHANNEL: signed.channel_id, CHARGED_TOTAL: str(total)}
    if channel.withdraw_delay:
        attributes[WITHDRAW_DELAY] = str(channel.withdraw_delay)
    return replace(
        found,
        settlement_id=voucher(intent.network, signed.channel_id, total),
        payment_ref=signed.channel_id,
        attributes=attributes,
    )


def _charged_total(case: _Case, signed: Voucher) -> int:
    """Returns what a channel has paid after a payment, as the gate says; else what is signed."""
    paid = parsed(ChannelPaid, mapping(mapping(case.answer.extra).get("channelState")))
    found = paid.charged_cumulative_amount
    if found is None or paid.channel_id not in {None, signed.channel_id}:
        found = signed.max_claimable_amount or 0
    return found


def _untracked(case: _Case, intent: Observation, *, accepted: Status) -> Observation:
    """A payment that no chain shows as one transaction to us: the answer is all that is known."""
    is_accepted = case.facts.outcome in ("success", "pending")
    attributes = dict(intent.attributes)
    if intent.tx_hash:  # a deposit or a batch: not the payment's own
        attributes["facilitator_transaction"] = intent.tx_hash
    return _charged(
        case,
        replace(
            intent,
            settlement_id=_attempt(case, intent.rail),
            status=accepted if is_accepted else "not_followed",
            failure_reason="" if is_accepted else case.facts.outcome,
            tx_hash="",
            attributes=attributes,
        ),
    )


def _elsewhere(case: _Case) -> Observation:
    """A payment on a network that is not read: announced without an amount in whole units."""
    event = "verify" if case.facts.kind == "verify" else "settle"
    intent = _common(case, event, OTHER_RAIL, case.facts.network, None)
    return _untracked(case, intent, accepted="not_followed")


def _charged(case: _Case, intent: Observation, most: int | None = None) -> Observation:
    """Records what was charged rather than what was asked for, or signed, at most."""
    if not intent.currency:
        return intent
    charged = case.answer.charged
    amount = intent.amount if charged is None else amount_of(charged, case.decimals)
    signed = whole_units(most or 0, case.decimals)
    # A wallet may sign more than any column holds.
    ceiling = max(intent.amount, signed if is_representable(signed) else amount)
    if amount == ceiling:
        return intent
    attributes = {**intent.attributes, AMOUNT_MAX: f"{ceiling:f}"}
    return replace(intent, amount=amount, attributes=attributes)


def _attempt(case: _Case, rail: str) -> uuid.UUID:
    return attempt_of_hash(rail, hash_of(case.line, case.bodies))


def hash_of(line: Line | None, bodies: Bodies) -> str:
    """Returns the hash of a line's payload; one that comes back from quarantine brings it along."""
    given = (line.payload_sha256 if line else None) or ""
    return given if _HASH.fullmatch(given) else payload_hash(bodies.payload)


def _said(case: _Case, event: str) -> str:
    if event == "verify":
        return ""
    if case.answer.success is None:
        return "nothing"
    if case.answer.success:
        return "success"
    return f"failure: {known_reason(case.answer.error_reason or '') or 'no reason'}"


def _resource(case: _Case) -> str:
    """Returns what was paid for, without the query and the credentials of its URL."""
    found = case.payment.resource
    url = found.get("url") if isinstance(found, dict) else found
    return resource_path(url or case.required.resource or case.line.resource)


def resource_path(url: Any) -> str:
    """Returns a URL without its query and credentials, '' when it is not one."""
    try:
        parts = urlsplit(url if isinstance(url, str) and not _NO_URL.search(url) else "")
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return text[:_RESOURCE_CHARACTERS]


def _memo(required: Requirements) -> str:
    found = mapping(required.extra).get("memo")
    return found[:_MEMO_CHARACTERS] if isinstance(found, str) else ""


def _asset_of(network: str, text: str | None) -> str:
    return (text or "").lower() if network.startswith(EVM_NAMESPACE) else text or ""
