"""Holds the state of one fetch on Base, and the rail's configuration."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from masques_pipelines.rail_settings import variable
from masques_pipelines.rails.answers import item_or_none
from masques_pipelines.rails.base.gateway_contracts import Mint
from masques_pipelines.rails.base.messages import Header, Log
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    Asset,
    ChannelClaim,
    ChannelState,
    Finding,
    Observation,
    Rejected,
)

NAME: Final = "base"
# Where a person finds a setting of the one-network form.
SETTING: Final = partial(variable, NAME)
# Blocks whose pace estimates the block of a time, and how many more are read to be sure.
PACE_BLOCKS: Final = 1_000
MARGIN_BLOCKS: Final = 100


# What transactions are paid for with, by the network's own coin. ETH: Ethereum, OP, Unichain, World
# Chain, Soneium, Base, Mode, Arbitrum, Ink, Blast and Zora; and of test networks Ethereum's,
# Base's, Arbitrum's and OP's. POL: Polygon and its test network. Of others it is not guessed.
_COINS: Final[Mapping[str, tuple[int, ...]]] = {
    "ETH": (
        *(1, 10, 130, 480, 1868, 8453, 34443, 42161, 57073, 81457, 7777777),
        *(11155111, 84532, 421614, 11155420),
    ),
    "POL": (137, 80002),
    "AVAX": (43114, 43113),
    "BNB": (56, 97),
    "CELO": (42220,),
}
_COIN_OF: Final[Mapping[str, str]] = {
    f"eip155:{chain}": coin for coin, chains in _COINS.items() for chain in chains
}


@dataclass(frozen=True)
class BaseConfig:
    """The configuration of the rail.

    Attributes:
        network: CAIP-2 id that the node must belong to, as in eip155:8453.
        treasury: Our addresses, lower-case hex.
        assets: Tokens that count as money.
        finality: The block tag from which on a payment is final: finalized or safe.
        start_block: First block to read; None starts at the block that is final in the first fetch.
        reads_gateway: Whether payments by Circle Gateway are followed, and what its wallet contract
            holds for us counts as ours.
        name: What the settings call the network.
        setting: Where a person finds one of these, in messages.
    """

    network: str
    treasury: frozenset[str]
    assets: tuple[Asset, ...]
    finality: str = "finalized"
    start_block: int | None = None
    reads_gateway: bool = False
    name: str = NAME
    setting: Callable[[str], str] = SETTING

    @property
    def fee_currency(self) -> str:
        """Returns what transactions are paid for with, '' where that is not known."""
        return _COIN_OF.get(self.network, "")


@dataclass(frozen=True)
class Wanted:
    """A transaction whose receipt is wanted.

    Attributes:
        number: Its block, as a log said; None when the log could not be read.
        block_hash: Hash of that block, '' when it is not known.
        tries: Fetches that wanted it before.
        events: The events that this fetch found of it, which its receipt has to hold.
    """

    number: int | None
    block_hash: str = ""
    tries: int = 0
    events: frozenset[Log] = frozenset()


@dataclass
class Window:
    """The blocks of one fetch, and what it has observed so far.

    Attributes:
        final: Header of the newest final block.
        head: Number of the newest block.
        ours: By treasury address the block after which it is ours: one that was added to the
            settings is not before its balance was read. One that is missing is new.
        reread_to: The last block that was read before a rewind; -1 for none.
        observations: What was observed.
        rejected: What cannot be a row.
        findings: Contradictions.
        claims: What was claimed of payment channels.
        channels: Payment channels that were looked at.
        minted: Withdrawals from Circle Gateway whose balance is not burned yet, of final blocks.
        burned: Withdrawals whose balance was burned, by what identifies them.
        waiting: Transactions at final heights that the node has no readable receipt of yet.
        seen: Ids of all settlements seen on the chain, including the unchanged ones.
        notes: Counts.
    """

    final: Header
    head: int
    ours: Mapping[str, int] = field(default_factory=dict)
    reread_to: int = -1
    observations: list[Observation] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    claims: list[ChannelClaim] = field(default_factory=list)
    channels: list[ChannelState] = field(default_factory=list)
    minted: list[Mint] = field(default_factory=list)
    burned: set[str] = field(default_factory=set)
    waiting: dict[str, Wanted] = field(default_factory=dict)
    seen: set[Any] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def final_number(self) -> int:
        """Number of the newest final block."""
        return self.final.number

    def is_ours(self, address: str, number: int) -> bool:
        """Returns whether an address of the treasury is ours in a block already."""
        return number > self.ours.get(address, self.final_number)

    def count(self, note: str, number: int = 1) -> None:
        """Adds to a count worth plotting."""
        self.notes[note] = self.notes.get(note, 0) + number


def headers_of(rpc: JsonRpc, numbers: Iterable[int]) -> dict[int, Header | None]:
    """Returns headers by number, in one request; None for a block that the node does not answer."""
    wanted = sorted(set(numbers))
    answers = rpc.many([("eth_getBlockByNumber", [hex(number), False]) for number in wanted])
    return {n: item_or_none(Header, each) for n, each in zip(wanted, answers, strict=True)}


def block_before(final: Header, header_of: Callable[[int], Header | None], time_s: int) -> int:
    """Returns a block that is probably not later than a time, by the pace of the last blocks."""
    earlier = max(0, final.number - PACE_BLOCKS)
    header = header_of(earlier)
    took_s = max(1, final.timestamp - header.timestamp) if header else 0
    per_s = (final.number - earlier) / took_s if took_s else 1.0
    back = (final.timestamp - time_s) * per_s + MARGIN_BLOCKS
    return max(0, final.number - int(max(back, 0)))
