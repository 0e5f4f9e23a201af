"""Parses lines of the Machine Payments Protocol (IETF drafts `httpauth-payment` and its methods).

A line is about one payment when it has a receipt. What was asked for is in the credential of the
request, which repeats the gate's challenge; without it only method and reference are known.

The methods `evm`, `solana` and `lightning` with the intent `charge` are followed when a rail reads
the network and the asset is one of its tokens. Anything else is kept and not followed: cards and
other chains, sessions (many payments in one channel). A token that is not in the settings rejects
its line, as for x402.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.rails.journal import headers as header
from masques_pipelines.rails.journal import l402
from masques_pipelines.rails.journal.amounts import amount_of, journal_at, nanoseconds
from masques_pipelines.rails.journal.facts import (
    EVM_NAMESPACE,
    Facts,
    address_of,
    shown_transaction,
    transaction_of,
)
from masques_pipelines.rails.journal.messages import (
    Charge,
    Line,
    LineError,
    MethodDetails,
    Receipt,
    mapping,
    parsed,
)
from masques_pipelines.rails.journal.reading import UnreadableError, read_header
from masques_pipelines.rails.journal.schemes import known_method, known_network
from masques_pipelines.rails.journal.tokens import LIGHTNING, MSAT_DECIMALS
from masques_pipelines.rails.journal.x402 import (
    BLOCKHASH_LIFE_S,
    HTTP_REFUSED,
    OTHER_RAIL,
    resource_path,
)
from masques_pipelines.rails.protocol import (
    ANSWER,
    ASKED,
    DEADLINE,
    JOURNAL_AT,
    Asset,
    AssetAllowList,
    Observation,
    Status,
)
from masques_pipelines.rails.settlement_ids import (
    NETWORKS,
    attempt,
    lightning_payment,
    mpp_charge,
    solana_transfer,
)
from masques_pipelines.rails.solana.addresses import (
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    associated_token_account,
)

PROTOCOL: Final = "mpp"
_RANK: Final = 2
_MSAT_PER_SAT: Final = 1_000
_SOLANA_CLUSTERS: Final = {"mainnet-beta": NETWORKS["solana"], "devnet": NETWORKS["solana-devnet"]}
_CURRENCY: Final = re.compile(r"[A-Za-z]{3,8}|0x[0-9a-fA-F]{40}|[1-9A-HJ-NP-Za-km-z]{32,44}")
# Ids of Stripe's objects: a payment intent, a charge, a checkout.
_OBJECT: Final = re.compile(r"(pi|ch|py|cs)_[A-Za-z0-9_]{8,80}")
_SOURCE: Final = re.compile(r"did:pkh:(eip155:[0-9]{1,19}):(0x[0-9a-fA-F]{40})")


@dataclass(frozen=True)
class _Case:
    """One payment while it is read."""

    line: Line
    receipt: Receipt
    raw: Mapping[str, Any]
    charge: Charge
    source: str
    intent: str
    preimage: str

    @property
    def details(self) -> MethodDetails:
        """What the method asks for, empty without."""
        return self.charge.method_details or MethodDetails()

    @property
    def units(self) -> int | None:
        """What the first receiver gets: the splits go to others."""
        others = [each.amount for each in self.details.splits or ()]
        if self.charge.amount is None or None in others:
            return None
        rest = self.charge.amount - sum(each or 0 for each in others)
        return rest if rest > 0 else None


def announced(
    line: Line, headers: Mapping[str, Any], allowed: AssetAllowList, facts: Facts
) -> Observation | None:
    """Returns the payment that a line announces, None when it announces none.

    Raises:
        LineError: The receipt cannot be parsed; the text is the reason.
    """
    facts.protocol = facts.scheme = PROTOCOL
    said = bodies_of(line, headers)
    raw = mapping(said.get("receipt"))
    if not raw:
        if header.single(headers, "payment-receipt"):
            facts.kind = "settle"
            raise LineError("bad_header:payment-receipt")
        _without_receipt(line, said, facts)
        return None
    facts.kind = "settle"
    receipt = parsed(Receipt, raw, name="payment-receipt")
    facts.outcome = "success" if receipt.status in (None, "success") else "refused"
    case = _Case(
        *(line, receipt, raw, parsed(Charge, mapping(said.get("charge")))),
        source=_text(said, "source"),
        intent=_text(said, "intent"),
        preimage=_text(said, "preimage"),
    )
    facts.reference = _reference(receipt.reference or "")
    if case.intent in ("", "charge") and facts.outcome == "success":
        followed = {"evm": _on_evm, "solana": _on_solana, "lightning": _on_lightning}
        if follow := followed.get(receipt.method or ""):
            found = follow(case, allowed, facts)
            if found is not None:
                return found
    return _not_followed(case, facts)


def bodies_of(line: Line, headers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the messages of a line: of its headers, or as quarantine kept them."""
    if line.mpp:
        return line.mpp
    credential = _decoded(header.credential(headers, header.MPP_SCHEME))
    receipt = _decoded(header.single(headers, "payment-receipt"))
    challenge = mapping(credential.get("challenge")) or _challenge(headers, receipt)
    return {
        "receipt": receipt,
        "charge": _decoded(challenge.get("request")),
        "source": credential.get("source"),
        "intent": challenge.get("intent"),
        "preimage": mapping(credential.get("payload")).get("preimage"),
        "is_credential": bool(credential),
    }


def _without_receipt(line: Line, said: Mapping[str, Any], facts: Facts) -> None:
    """A challenge, or a credential whose answer is not in the line: facts only."""
    if not said.get("is_credential"):
        facts.kind, facts.outcome, facts.rule = "challenge", "asked", "challenge"
        return
    is_refused = line.http_status is not None and line.http_status >= HTTP_REFUSED
    facts.kind, facts.outcome = "settle", "refused" if is_refused else "unanswered"
    facts.rule = "names_no_payment"


def _challenge(headers: Mapping[str, Any], receipt: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the challenge that a receipt is about, where the line has it."""
    for each in header.challenges(headers, (header.MPP_SCHEME,)):
        if receipt.get("challengeId") and each.get("id") == receipt["challengeId"]:
            return each
    return {}


def _text(holder: Mapping[str, Any], name: str) -> str:
    found = holder.get(name)
    return found if isinstance(found, str) else ""


def _reference(text: str) -> str:
    """Returns what may be shown of a receipt's reference."""
    return text if not text or _OBJECT.fullmatch(text) else shown_transaction(text)


def _decoded(text: Any) -> Mapping[str, Any]:
    try:
        return read_header(text)
    except UnreadableError:
        return {}


def _on_evm(case: _Case, allowed: AssetAllowList, facts: Facts) -> Observation | None:
    """The chain shows a plain transfer, found by the transaction that the receipt names."""
    number = case.receipt.chain_id or case.details.chain_id
    network = f"{EVM_NAMESPACE}{number}"
    facts.network = known_network(network) if number else ""
    rail, tx_hash = allowed.rail_of(network), transaction_of(network, case.receipt.reference)
    receiver = address_of(network, case.charge.recipient)
    if rail is None or not (tx_hash and receiver) or case.units is None:
        return None
    asset = _asset(allowed, network, (case.charge.currency or "").lower())
    named = _SOURCE.fullmatch(case.source)
    return _pending(
        case,
        facts,
        settlement_id=mpp_charge(network, tx_hash, case.receipt.challenge_id or ""),
        rail=rail,
        network=network,
        amount=amount_of(case.units, asset.decimals),
        currency=asset.symbol,
        asset=asset.address,
        to_address=receiver,
        payer=named[2].lower() if named and named[1] == network else "",
        tx_hash=tx_hash,
    )


def _asset(allowed: AssetAllowList, network: str, address: str) -> Asset:
    asset = allowed.assets.get((network, address))
    if asset is None:
        raise LineError("unknown:asset")  # read again once it is in the settings
    return asset


def _on_solana(case: _Case, allowed: AssetAllowList, facts: Facts) -> Observation | None:
    """A transaction to one of our token accounts: the chain's own identity."""
    network = _SOLANA_CLUSTERS.get(case.details.network or "mainnet-beta", "")
    facts.network = network
    rail, signature = allowed.rail_of(network), transaction_of(network, case.receipt.reference)
    owner = address_of(network, case.charge.recipient)
    is_coin = case.charge.currency == "sol"
    if rail is None or is_coin or not (signature and owner) or case.units is None:
        return None
    asset = _asset(allowed, network, case.charge.currency or "")
    is_2022 = case.details.token_program == TOKEN_2022_PROGRAM
    program = TOKEN_2022_PROGRAM if is_2022 else TOKEN_PROGRAM
    account = associated_token_account(owner, asset.address, program)
    return _pending(
        case,
        facts,
        settlement_id=solana_transfer(network, signature, account),
        rail=rail,
        network=network,
        amount=amount_of(case.units, asset.decimals),
        currency=asset.symbol,
        asset=asset.address,
        to_address=owner,
        payment_ref=signature,
        tx_hash=signature,
    )


def _on_lightning(case: _Case, allowed: AssetAllowList, facts: Facts) -> Observation | None:
    """An invoice of ours: its payment hash is its identity, as the credential proves it.

    The receipt alone does not: gates were seen to write the preimage into it, which is a secret.
    """
    network = allowed.network_of(LIGHTNING)
    try:
        payment_hash = l402.hash_of_preimage(case.preimage)
    except ValueError:
        return None
    if network is None:
        return None
    facts.network = network
    invoice = _invoice(case.details.invoice, payment_hash)
    units = (case.units or 0) * _MSAT_PER_SAT if case.charge.currency == "sat" else 0
    msat = invoice.amount_msat if invoice and invoice.amount_msat else units
    return _pending(
        case,
        facts,
        settlement_id=lightning_payment(payment_hash),
        deadline_s=invoice.expires_s if invoice else None,
        rail=LIGHTNING,
        network=network,
        amount=amount_of(msat, MSAT_DECIMALS),
        currency="BTC",
        payment_ref=payment_hash,
        tx_hash=payment_hash,
    )


def _invoice(text: str | None, payment_hash: str) -> l402.Invoice | None:
    try:
        found = l402.read_invoice(text or "")
    except ValueError:
        return None
    return found if found.payment_hash == payment_hash else None


def _pending(
    case: _Case,
    facts: Facts,
    *,
    settlement_id: uuid.UUID,
    deadline_s: int | None = None,
    **more: Any,
) -> Observation:
    facts.reference = more["tx_hash"]
    if deadline_s is None and more["rail"] != LIGHTNING:
        deadline_s = int(case.line.recorded_at.timestamp()) + BLOCKHASH_LIFE_S
    return _observation(case, facts, settlement_id, "pending", deadline_s, **more)


def _not_followed(case: _Case, facts: Facts) -> Observation:
    return _observation(
        case,
        facts,
        attempt(OTHER_RAIL, case.raw),
        "not_followed",
        None,
        rail=OTHER_RAIL,
        network=facts.network,
        amount=Decimal(0),
        currency="",
        failure_reason="refused" if facts.outcome == "refused" else "",
    )


def _observation(
    case: _Case,
    facts: Facts,
    settlement_id: uuid.UUID,
    status: Status,
    deadline_s: int | None,
    **more: Any,
) -> Observation:
    facts.settlement_id = settlement_id
    attributes = {
        JOURNAL_AT: journal_at(case.line.recorded_at, _RANK),
        DEADLINE: "" if deadline_s is None else str(deadline_s),
        ANSWER: facts.outcome,
        "scheme": PROTOCOL,
        "method": known_method(case.receipt.method or ""),
        "reference": facts.reference,
        ASKED: _asked(case.charge),
        "resource": resource_path(case.line.resource),
    }
    return Observation(
        settlement_id=settlement_id,
        source="intent",
        direction="in",
        status=status,
        timestamp_ns=nanoseconds(case.line.recorded_at),
        protocol=PROTOCOL,
        transaction_ids=case.line.named_transfers,
        attributes={name: value for name, value in attributes.items() if value},
        **more,
    )


def _asked(charge: Charge) -> str:
    """Returns what was asked for in the method's own unit: `1050 usd`."""
    if charge.amount is None or not _CURRENCY.fullmatch(charge.currency or ""):
        return ""
    return f"{charge.amount} {charge.currency}"
