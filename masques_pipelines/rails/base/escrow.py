"""Decodes the escrow contract of x402's payment channels (batch-settlement).

A payer deposits once and signs cumulative vouchers; the receiver claims what a channel has paid,
which moves no token, and sweeps all claims in one transfer. The payer takes back what is not
claimed: at once when the receiver refunds it, else after the channel's delay. A claim can come
until the money is gone. Source: the SDK's ABI and the deployed contract, at one address on every
chain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.rails.answers import ShapeError
from masques_pipelines.rails.base.messages import FoundLog, Log, Receipt
from masques_pipelines.rails.base.transfers import Transfer, address_topic

ESCROW: Final = "0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003"
DEPOSITED: Final = "0x6c2a09353b5e75e70d0b9778b80a413809bb235d46c211811c474b3346791d89"
CLAIMED: Final = "0x36bd546bb573e8921fdbfd934bbed62d872796b01792cd240cce27f79dd3eddd"
SETTLED: Final = "0x7337b4386b690fdb8ba66905b92b9d45d33bc6626ee2620c905fb150ec0cc47d"
REFUNDED: Final = "0xa84286cf8ebc7903a663c77c8d99aa92b600d4c2fcca872a5d4a663db4eb394b"
WITHDRAW_INITIATED: Final = "0xe4280d0d903c7f258f62b07c62f262377cbaa23f7791d78126e6446e0f0e3c23"
WITHDRAW_FINALIZED: Final = "0x546ce1e2242cd930c196bd08b894443562d709b4fffe4f028a75a6d233efc6e3"
# Events that take money out of a channel without the receiver.
TAKEN_BACK: Final = (REFUNDED, WITHDRAW_FINALIZED)
EVENTS: Final = (DEPOSITED, CLAIMED, REFUNDED, WITHDRAW_INITIATED, WITHDRAW_FINALIZED)
# The functions channels(bytes32), pendingWithdrawals(bytes32) and receivers(address,address).
CHANNELS: Final = "0x7a7ebd7b"
PENDING: Final = "0xb7f06ebe"
RECEIVERS: Final = "0x21ff6389"
# The shortest delay that the contract allows.
WITHDRAW_DELAY_MIN_S: Final = 900
_CALL: Final = "eth_call"
_WORD: Final = 64
_INDEXED_AND_NAME: Final = 3
_SETTLED_TOPICS: Final = 4


@dataclass(frozen=True)
class Claimed:
    """One event of a claim.

    Attributes:
        channel_id: The channel.
        units: What the transaction claimed.
        total: What the channel has paid with it.
    """

    channel_id: str
    units: int
    total: int


def pair(answer: Any, place: str) -> tuple[int, int]:
    """Returns two numbers of 32 bytes each, as the contract's functions answer them.

    Raises:
        ShapeError: It is anything else.
    """
    text = answer[2:] if isinstance(answer, str) and answer[:2] == "0x" else ""
    try:
        if len(text) == 2 * _WORD:
            return int(text[:_WORD], 16), int(text[_WORD:], 16)
    except ValueError:
        pass
    raise ShapeError(f"{place}: not two numbers")


def claimed(log: Log) -> Claimed | None:
    """Returns the claim of an event, None when it is another event or cannot be read."""
    if log.address != ESCROW or len(log.topics) != _INDEXED_AND_NAME or log.topics[0] != CLAIMED:
        return None
    try:
        units, total = pair(log.data, "Claimed")
    except ShapeError:
        return None
    return Claimed(log.topics[1], units, total) if 0 < units <= total else None


def channel_of(log: FoundLog) -> str:
    """Returns the channel of an event, '' when it is of none."""
    is_ours = log.address == ESCROW and len(log.topics) > 1 and log.topics[0] in EVENTS
    return log.topics[1] if is_ours else ""


def is_sweep(receipt: Receipt, moved: Transfer) -> bool:
    """Returns whether a transfer brings what was claimed before: the claims are the payments."""
    return moved.sender == ESCROW and any(
        log.address == ESCROW
        and len(log.topics) == _SETTLED_TOPICS
        and log.topics[:3]
        == (SETTLED, address_topic(moved.receiver), address_topic(moved.asset.address))
        and log.data == moved.data
        for log in receipt.logs
    )


def search(channel_ids: Sequence[str]) -> dict[str, Any]:
    """Returns the query of eth_getLogs for all events of channels."""
    return {"address": [ESCROW], "topics": [list(EVENTS), list(channel_ids)]}


def state_call(channel_id: str, block: str) -> tuple[str, Sequence[Any]]:
    """Returns the call for what a channel holds and what was claimed of it."""
    return _CALL, [{"to": ESCROW, "data": CHANNELS + channel_id[2:]}, block]


def withdrawal_call(channel_id: str, block: str) -> tuple[str, Sequence[Any]]:
    """Returns the call for what the payer asked back, and when."""
    return _CALL, [{"to": ESCROW, "data": PENDING + channel_id[2:]}, block]


def claimed_call(receiver: str, token: str, block: str) -> tuple[str, Sequence[Any]]:
    """Returns the call for all that was claimed for a receiver, and what of it was swept."""
    data = RECEIVERS + address_topic(receiver)[2:] + address_topic(token)[2:]
    call: Mapping[str, str] = {"to": ESCROW, "data": data}
    return _CALL, [call, block]
