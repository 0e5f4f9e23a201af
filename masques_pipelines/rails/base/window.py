"""Holds the state of one fetch on Base, and the rail's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from masques_pipelines.rails.protocol import Asset, Observation, Rejected

Block = Mapping[str, Any]


@dataclass(frozen=True)
class BaseConfig:
    """The configuration of the rail.

    Attributes:
        network: CAIP-2 id that the node must belong to, as in eip155:8453.
        treasury: Our addresses, lower-case hex.
        assets: Tokens that count as money.
        finality: The block tag from which on a payment is final: finalized or safe.
        start_block: First block to read; None starts at the block that is final in the first fetch.
    """

    network: str
    treasury: frozenset[str]
    assets: tuple[Asset, ...]
    finality: str = "finalized"
    start_block: int | None = None


@dataclass(frozen=True)
class ChainPosition:
    """The block that a log belongs to."""

    block_hash: str
    number: int


@dataclass
class Window:
    """The blocks of one fetch, and what it has observed so far.

    Attributes:
        final: Header of the newest final block.
        head: Number of the newest block.
        observations: What was observed.
        rejected: What cannot be a row.
        seen: Ids of all settlements seen on the chain, including the unchanged ones.
        notes: Counts.
    """

    final: Block
    head: int
    observations: list[Observation] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    seen: set[Any] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def final_number(self) -> int:
        """Number of the newest final block."""
        return int(self.final["number"], 16)

    def count(self, note: str) -> None:
        """Adds one to a count worth plotting."""
        self.notes[note] = self.notes.get(note, 0) + 1
