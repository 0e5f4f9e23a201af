"""Parses payout lines: money that the platform sent, as its payout service reports it.

On Lightning the payment hash is the identity of the chain's own row. On the other chains that row's
id needs the chain: the announcement is superseded by it, found by transaction, receiver and amount.
Without a transaction a payout can never be found: the line is a fact and announces nothing.
"""

import re
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.rails.journal import l402
from masques_pipelines.rails.journal.amounts import amount_of, journal_at, nanoseconds
from masques_pipelines.rails.journal.facts import (
    EVM_NAMESPACE,
    Facts,
    required_address,
    shown_transaction,
    transaction_of,
)
from masques_pipelines.rails.journal.messages import (
    PAYOUT_ID,
    Line,
    LineError,
    Payout,
    mapping,
    parsed,
)
from masques_pipelines.rails.journal.schemes import known_network
from masques_pipelines.rails.journal.tokens import LIGHTNING, MSAT_DECIMALS
from masques_pipelines.rails.protocol import (
    ANSWER,
    DEADLINE,
    JOURNAL_AT,
    AssetAllowList,
    Observation,
)
from masques_pipelines.rails.settlement_ids import caip2, lightning_payment, payout

# A payout that no chain shows within a day is unknown.
PAYOUT_LIFE_S: Final = 86_400
_RANK: Final = 4
_NODE: Final = re.compile(r"0[23][0-9a-f]{64}")


def announced(line: Line, record: Any, allowed: AssetAllowList, facts: Facts) -> Observation | None:
    """Returns the payout that a line announces, None when it names no transaction.

    Raises:
        LineError: The line cannot be parsed; the text is the reason.
    """
    facts.kind, facts.outcome = "payout", _outcome(line)
    said = parsed(Payout, record)
    payout_id = said.payout_id or ""
    payout_id = payout_id if re.fullmatch(PAYOUT_ID, payout_id) else ""
    facts.reference = payout_id
    lightning = allowed.network_of(LIGHTNING)
    network = lightning if said.network in (LIGHTNING, lightning) else caip2(said.network)
    if network is None:
        raise LineError("unknown:network")
    rail = allowed.rail_of(network)
    facts.network = network if rail else known_network(network)
    if rail is None:
        raise LineError("unknown:network")
    attributes = {
        JOURNAL_AT: journal_at(line.recorded_at, _RANK),
        DEADLINE: str(int(line.recorded_at.timestamp()) + PAYOUT_LIFE_S),
        ANSWER: facts.outcome,
        "payout_id": payout_id,
    }
    if rail == LIGHTNING:
        return _on_lightning(line, said, network, attributes, facts)
    key = (said.asset or "").lower() if network.startswith(EVM_NAMESPACE) else said.asset or ""
    asset = allowed.assets.get((network, key))
    if asset is None:
        raise LineError("unknown:asset")
    receiver = required_address(network, said.to, "to")
    amount = amount_of(said.amount, asset.decimals)
    tx_hash = transaction_of(network, said.transaction)
    if not tx_hash:
        _untraceable(said, facts)
        return None
    facts.reference = payout_id or tx_hash
    facts.settlement_id = payout(network, tx_hash, receiver, said.amount, payout_id)
    return _observation(
        line,
        facts,
        rail=rail,
        network=network,
        amount=amount,
        currency=asset.symbol,
        asset=asset.address,
        to_address=receiver,
        tx_hash=tx_hash,
        attributes=attributes,
    )


def _on_lightning(
    line: Line, said: Payout, network: str, attributes: dict[str, str], facts: Facts
) -> Observation | None:
    amount = amount_of(said.amount, MSAT_DECIMALS)
    try:
        payment_hash = l402.payment_hash_of(said.transaction or "")
    except ValueError:
        _untraceable(said, facts)
        return None
    facts.reference = facts.reference or payment_hash
    facts.settlement_id = lightning_payment(payment_hash, "out")
    receiver = (said.to or "").lower()
    return _observation(
        line,
        facts,
        rail=LIGHTNING,
        network=network,
        amount=amount,
        currency="BTC",
        asset="",
        to_address=receiver if _NODE.fullmatch(receiver) else "",
        tx_hash=payment_hash,
        attributes=attributes,
    )


def _untraceable(said: Payout, facts: Facts) -> None:
    facts.rule = "names_no_transaction"
    if said.transaction and not facts.reference:
        facts.reference = shown_transaction(said.transaction)


def _observation(  # noqa: PLR0913 - the fields of one record, by name
    line: Line,
    facts: Facts,
    *,
    rail: str,
    network: str,
    amount: Decimal,
    currency: str,
    asset: str,
    to_address: str,
    tx_hash: str,
    attributes: dict[str, str],
) -> Observation:
    return Observation(
        settlement_id=facts.settlement_id,
        source="intent",
        rail=rail,
        network=network,
        direction="out",
        status="pending",
        amount=amount,
        currency=currency,
        timestamp_ns=nanoseconds(line.recorded_at),
        asset=asset,
        to_address=to_address,
        payment_ref=tx_hash,
        tx_hash=tx_hash,
        transaction_ids=line.named_transfers,
        attributes={name: value for name, value in attributes.items() if value},
    )


def _outcome(line: Line) -> str:
    """Returns what the payout service says; a transaction without an answer is on its way."""
    success = mapping(line.response).get("success")
    if success is False:
        return "failed"
    return "success" if success is True else "pending"
