"""Holds what a line says, beside the payment that it announces: the columns of journal_events."""

import re
import uuid
from dataclasses import dataclass
from typing import Final

from masques_pipelines.rails.journal.messages import LineError
from masques_pipelines.rails.protocol import EventKind
from masques_pipelines.rails.solana.addresses import decode_base58, is_address

# Of a line that announces no settlement.
NOBODY: Final = uuid.UUID(int=0)
EVM_NAMESPACE: Final = "eip155:"
SOLANA_NAMESPACE: Final = "solana:"
_SOLANA_ADDRESS_CHARACTERS: Final = 44
_SIGNATURE_CHARACTERS: Final = 88
_SIGNATURE_BYTES: Final = 64
_EVM_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_EVM_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
# What is not a transaction of its chain and may be shown all the same: another chain's transaction,
# or the id of a batch (Circle Gateway).
_SHOWN: Final = re.compile(
    r"0x[0-9a-fA-F]{0,128}|[1-9A-HJ-NP-Za-km-z]{86,88}"
    r"|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


@dataclass
class Facts:
    """What a line says; filled while it is parsed, so that a rejected line has its facts too.

    Attributes:
        kind: challenge, verify, settle or payout; None while nothing is known.
        outcome: A word of protocol.Answer, or "asked".
        protocol: x402, l402, mpp, or empty.
        scheme: A known word, or "other".
        network: A known network, or "other".
        reference: Nonce, payment hash, transaction or payout id.
        error_reason: A known word, or "other".
        settlement_id: The settlement that is announced; the zero UUID for none.
        rule: Why nothing is announced, though the line is valid; '' when a payment is.
    """

    kind: EventKind | None = None
    outcome: str = ""
    protocol: str = ""
    scheme: str = ""
    network: str = ""
    reference: str = ""
    error_reason: str = ""
    settlement_id: uuid.UUID = NOBODY
    rule: str = ""


def transaction_of(network: str, text: str | None) -> str:
    """Returns a transaction as its chain writes it, '' when it cannot be one."""
    if not text:
        return ""
    if network.startswith(EVM_NAMESPACE):
        return text.lower() if _EVM_HASH.fullmatch(text) else ""
    if network.startswith(SOLANA_NAMESPACE) and len(text) <= _SIGNATURE_CHARACTERS:
        try:
            return text if len(decode_base58(text)) == _SIGNATURE_BYTES else ""
        except ValueError:
            return ""
    return ""


def shown_transaction(text: str) -> str:
    """Returns what may be shown of a transaction that is not one of its chain."""
    return text if _SHOWN.fullmatch(text) else f"[{len(text)} characters]"


def address_of(network: str, text: str | None) -> str:
    """Returns an address as its chain's settlements have it, '' when it cannot be one."""
    if not text:
        return ""
    if network.startswith(EVM_NAMESPACE):
        return text.lower() if _EVM_ADDRESS.fullmatch(text) else ""
    if network.startswith(SOLANA_NAMESPACE) and len(text) <= _SOLANA_ADDRESS_CHARACTERS:
        return text if is_address(text) else ""
    return ""


def required_address(network: str, text: str | None, name: str) -> str:
    """Returns an address; LineError when there is none."""
    found = address_of(network, text)
    if not found:
        raise LineError(f"bad_address:{name}")
    return found
