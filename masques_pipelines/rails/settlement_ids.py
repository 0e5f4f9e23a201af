"""Identifies a settlement: one payment, one id, whoever reports it and however often.

The id is the UUID of the text that identifies the payment on its rail, and of nothing else. A
transaction hash changes when a transaction is replaced, and a log's index when its block is
reorganised; an EIP-3009 authorization, a signature and a payment hash do not.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "settlements.masques")

# x402 version 1 has its own names for networks, version 2 uses CAIP-2 (Chain Agnostic Improvement
# Proposal 2). Solana's references are the first 32 characters of the genesis hash.
NETWORKS: Final[Mapping[str, str]] = {
    "base": "eip155:8453",
    "base-sepolia": "eip155:84532",
    "solana": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "solana-devnet": "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
}


def settlement_id(*parts: str) -> uuid.UUID:
    """Returns the id of the payment that the parts identify."""
    return uuid.uuid5(NAMESPACE, "|".join(parts))


def base_authorization(network: str, asset: str, authorizer: str, nonce: str) -> uuid.UUID:
    """Identifies an EIP-3009 payment: the same before it is sent, when replaced, and when mined."""
    return settlement_id("base", network, asset.lower(), authorizer.lower(), nonce.lower())


def permit(network: str, owner: str, nonce: int) -> uuid.UUID:
    """Identifies the announcement of a Permit2 payment; the chain's own row does not show it."""
    return settlement_id("permit2", network, owner.lower(), str(nonce))


def gateway_transfer(network: str, payer: str, nonce: str) -> uuid.UUID:
    """Identifies a payment by Circle Gateway, which settles it later with others."""
    return settlement_id("gateway", network, payer.lower(), nonce.lower())


def voucher(network: str, channel_id: str, total: int) -> uuid.UUID:
    """Identifies a payment by voucher by what its channel has paid after it.

    A voucher may be signed again for another payment; what the channel has paid only grows.
    """
    return settlement_id("voucher", network, channel_id.lower(), str(total))


def claim_without_voucher(network: str, channel_id: str, first: int, last: int) -> uuid.UUID:
    """Identifies what a channel paid that no voucher is known of, by its first and last unit."""
    return settlement_id("claim", network, channel_id.lower(), str(first), str(last))


def mpp_charge(network: str, tx_hash: str, challenge_id: str) -> uuid.UUID:
    """Identifies the announcement of a payment by MPP on an EVM chain."""
    return settlement_id("mpp", network, tx_hash.lower(), challenge_id)


def base_transfer(network: str, tx_hash: str, ordinal: int) -> uuid.UUID:
    """Identifies any other transfer by its index among the logs of its own transaction."""
    return settlement_id("base", network, tx_hash.lower(), str(ordinal))


def solana_transfer(network: str, signature: str, token_account: str, payer: str = "") -> uuid.UUID:
    """Identifies what one transaction did to one of our token accounts.

    Args:
        network: CAIP-2 id.
        signature: Names the transaction.
        token_account: Our account.
        payer: One of several wallets that paid in it; empty for the only one.
    """
    return settlement_id("solana", network, signature, token_account, *filter(None, [payer]))


def lightning_payment(payment_hash: str, set_id: str = "") -> uuid.UUID:
    """Identifies a Lightning payment; of an AMP invoice, each set of parts."""
    return settlement_id("lightning", "payment_hash", payment_hash.lower(), *filter(None, [set_id]))


def attempt(rail: str, payload: Mapping[str, Any]) -> uuid.UUID:
    """Identifies an attempt that is not known to have reached a chain, by its payload."""
    return attempt_of_hash(rail, payload_hash(payload))


def attempt_of_hash(rail: str, hash_of_payload: str) -> uuid.UUID:
    """Identifies an attempt whose payload is known by its hash only."""
    return settlement_id("attempt", rail, hash_of_payload)


def payout(network: str, tx_hash: str, receiver: str, units: int, payout_id: str) -> uuid.UUID:
    """Identifies an announced payout on a chain whose own id for it needs the chain.

    One transaction may pay a receiver twice, also the same amount, by two payouts.
    """
    return settlement_id("payout", network, tx_hash, receiver, str(units), payout_id)


def payload_hash(payload: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the canonical JSON of a payment payload, hex."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def caip2(network: str) -> str:
    """Returns the CAIP-2 id of a network that may have its x402 version 1 name."""
    return NETWORKS.get(network, network)
