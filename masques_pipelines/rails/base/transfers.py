"""Decodes receipts: ERC-20 transfers, the EIP-3009 authorizations before them, and fees.

Sources: ERC-20 and EIP-3009; Circle's contract logs AuthorizationUsed directly before Transfer. The
L1 part of the fee is l1Fee of an OP-stack receipt; since Isthmus there may be an operator
fee of gasUsed * operatorFeeScalar / 10^6 + operatorFeeConstant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.protocol import Asset

TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
AUTHORIZATION_USED: Final = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
# authorizationState(address,bytes32): true for used or canceled.
AUTHORIZATION_STATE: Final = "0xe94a0102"
WEI_DECIMALS: Final = 18


@dataclass(frozen=True)
class Transfer:
    """One transfer of an allowed token from or to a treasury address.

    Attributes:
        ordinal: Index of the log within its receipt, which a reorganisation does not change.
        asset: The token.
        sender: Lower-case hex.
        receiver: Lower-case hex.
        units: In the token's smallest unit.
        nonce: Nonce of the EIP-3009 authorization that caused it, or empty.
    """

    ordinal: int
    asset: Asset
    sender: str
    receiver: str
    units: int
    nonce: str


def address_topic(address: str) -> str:
    """Returns an address as an indexed argument holds it: 32 bytes, hex."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")


def address_of(topic: str) -> str:
    """Returns the address in an indexed argument, lower-case hex."""
    return "0x" + topic[-40:].lower()


def transfers(
    receipt: Mapping[str, Any], assets: Mapping[str, Asset], treasury: frozenset[str]
) -> Iterator[Transfer]:
    """Yields the transfers of allowed tokens from or to the treasury.

    A transfer of zero units is yielded too: anybody can make one in anybody's name, so the caller
    counts and drops it.
    """
    logs = receipt["logs"]
    for ordinal, log in enumerate(logs):
        asset = assets.get(log["address"].lower())
        topics = log["topics"]
        if asset is None or len(topics) != 3 or topics[0] != TRANSFER:
            continue
        sender, receiver = address_of(topics[1]), address_of(topics[2])
        if sender in treasury or receiver in treasury:
            yield Transfer(
                ordinal=ordinal,
                asset=asset,
                sender=sender,
                receiver=receiver,
                units=int(log["data"], 16),
                nonce=_nonce(logs[ordinal - 1], asset, topics[1]) if ordinal else "",
            )


def _nonce(before: Mapping[str, Any], asset: Asset, sender_topic: str) -> str:
    """Returns the nonce of the authorization that the log before a Transfer uses, or ''."""
    topics = before["topics"]
    is_its_authorization = (
        len(topics) == 3
        and topics[0] == AUTHORIZATION_USED
        and topics[1] == sender_topic
        and before["address"].lower() == asset.address
    )
    return str(topics[2]).lower() if is_its_authorization else ""


def network_fee(receipt: Mapping[str, Any]) -> Decimal:
    """Returns the transaction's cost to its sender, in ETH: execution, L1 and operator part."""
    gas_used = int(receipt["gasUsed"], 16)
    wei = gas_used * _quantity(receipt, "effectiveGasPrice") + _quantity(receipt, "l1Fee")
    wei += gas_used * _quantity(receipt, "operatorFeeScalar") // 10**6
    wei += _quantity(receipt, "operatorFeeConstant")
    return whole_units(wei, WEI_DECIMALS)


def _quantity(receipt: Mapping[str, Any], name: str) -> int:
    """Returns a number of a receipt, 0 when it is absent or null as on chains without an L1."""
    return int(receipt.get(name) or "0x0", 16)
