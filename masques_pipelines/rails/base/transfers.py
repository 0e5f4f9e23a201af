"""Decodes receipts: ERC-20 transfers, the EIP-3009 authorizations beside them, and fees.

Sources: ERC-20 and EIP-3009; Circle's contract logs AuthorizationUsed directly before Transfer,
other tokens directly after it. The L1 part of the fee is l1Fee of an OP-stack receipt. Since
Isthmus there may be an operator fee of gasUsed * operatorFeeScalar / 10^6 + operatorFeeConstant,
since Jovian of gasUsed * operatorFeeScalar * 100 + operatorFeeConstant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.base.messages import Log, Receipt, word
from masques_pipelines.rails.protocol import Asset

TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
AUTHORIZATION_USED: Final = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
AUTHORIZATION_CANCELED: Final = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81"
# authorizationState(address,bytes32): true for used or canceled.
AUTHORIZATION_STATE: Final = "0xe94a0102"
# The function balanceOf, of one address.
BALANCE_OF: Final = "0x70a08231"
WEI_DECIMALS: Final = 18
# Jovian on Base (2025-12-02 16:00:01 UTC); its receipts have daFootprintGasScalar, of other
# networks that upgraded earlier too.
JOVIAN_S: Final = 1_764_691_201
_TRANSFER_TOPICS: Final = 3


@dataclass(frozen=True)
class Transfer:
    """One transfer of an allowed token from or to a treasury address.

    Attributes:
        ordinal: Index of the log within its receipt, which a reorganisation does not change.
        asset: The token.
        sender: Lower-case hex.
        receiver: Lower-case hex.
        data: The amount as the log has it, 32 bytes of hex.
        nonce: Nonce of the EIP-3009 authorization that caused it, or empty.
    """

    ordinal: int
    asset: Asset
    sender: str
    receiver: str
    data: str
    nonce: str

    @property
    def units(self) -> int:
        """The amount in the token's smallest unit; ShapeError when the log has none."""
        return word(self.data, "log.data")


@dataclass(frozen=True)
class Ended:
    """How a receipt ends an authorization.

    Attributes:
        is_used: Used; otherwise canceled.
        receiver: Whom the payment went to, None when no transfer stands beside it.
    """

    is_used: bool
    receiver: str | None


def address_topic(address: str) -> str:
    """Returns an address as an indexed argument holds it: 32 bytes, hex."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")


def address_of(topic: str) -> str:
    """Returns the address in an indexed argument, lower-case hex."""
    return "0x" + topic[-40:].lower()


def transfers(
    receipt: Receipt, assets: Mapping[str, Asset], treasury: frozenset[str]
) -> Iterator[Transfer]:
    """Yields the transfers of allowed tokens from or to the treasury.

    A transfer of zero units is yielded too: anybody can make one in anybody's name, so the caller
    counts and drops it.
    """
    nonces: dict[str, dict[int, str]] = {}
    for ordinal, log in enumerate(receipt.logs):
        asset = assets.get(log.address)
        if asset is None or not is_transfer(log):
            continue
        sender, receiver = address_of(log.topics[1]), address_of(log.topics[2])
        if sender in treasury or receiver in treasury:
            if log.address not in nonces:
                nonces[log.address] = _nonces(receipt.logs, log.address)
            yield Transfer(
                ordinal=ordinal,
                asset=asset,
                sender=sender,
                receiver=receiver,
                data=log.data,
                nonce=nonces[log.address].get(ordinal, ""),
            )


def ended(receipt: Receipt, asset: str, authorizer: str, nonce: str) -> Ended | None:
    """Returns how a receipt ends an authorization, None when it does not."""
    subject = (address_topic(authorizer), nonce.lower())
    for log in receipt.logs:
        if log.address != asset or log.topics[1:] != subject:
            continue
        if log.topics[0] == AUTHORIZATION_CANCELED:
            return Ended(is_used=False, receiver=None)
        if log.topics[0] == AUTHORIZATION_USED:
            paid = _nonces(receipt.logs, asset)
            at = next((i for i, each in paid.items() if each == subject[1]), None)
            to = None if at is None else address_of(receipt.logs[at].topics[2])
            return Ended(is_used=True, receiver=to)
    return None


def _nonces(logs: Sequence[Log], contract: str) -> dict[int, str]:
    """Returns the nonce of each transfer of a contract that an authorization caused, by ordinal."""
    found: dict[int, str] = {}
    for authorizer in {log.topics[1] for log in logs if _is_used(log, contract)}:
        events = [
            i
            for i, log in enumerate(logs)
            if log.address == contract
            and (is_transfer(log) or _is_used(log, contract))
            and log.topics[1] == authorizer
        ]
        # Transfer, AuthorizationUsed, Transfer, AuthorizationUsed …: the other order.
        is_after = len(events) % 2 == 0 and all(
            _is_used(logs[i], contract) == bool(number % 2) for number, i in enumerate(events)
        )
        step = -1 if is_after else 1
        for i in events:
            paid = i + step
            if _is_used(logs[i], contract) and paid in events and is_transfer(logs[paid]):
                found[paid] = logs[i].topics[2]
    return found


def is_transfer(log: Log) -> bool:
    """Returns whether an event is an ERC-20 transfer."""
    return len(log.topics) == _TRANSFER_TOPICS and log.topics[0] == TRANSFER


def _is_used(log: Log, contract: str) -> bool:
    return (
        log.address == contract
        and len(log.topics) == _TRANSFER_TOPICS
        and log.topics[0] == AUTHORIZATION_USED
    )


def network_fee(receipt: Receipt, time_s: int) -> Decimal:
    """Returns the transaction's cost to its sender, in ETH: execution, L1 and operator part.

    Args:
        receipt: A field that is absent or null is 0, as on chains without an L1.
        time_s: Time of its block: the operator part changed with Jovian.
    """
    wei = receipt.gas_used * (receipt.effective_gas_price or 0) + (receipt.l1_fee or 0)
    scaled = receipt.gas_used * (receipt.operator_fee_scalar or 0)
    is_jovian = receipt.da_footprint_gas_scalar is not None or time_s >= JOVIAN_S
    wei += scaled * 100 if is_jovian else scaled // 10**6
    wei += receipt.operator_fee_constant or 0
    return whole_units(wei, WEI_DECIMALS)
