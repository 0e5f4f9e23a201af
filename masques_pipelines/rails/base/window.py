"""The state of one fetch of the rail Base.

Here: the rail's configuration, and what a fetch has seen so far.
Not here: reading blocks (rail.py) and deciding open settlements (open_settlements.py).
A re-run starts with a new window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from masques_pipelines.rails.protocol import Asset, Observation, Refused

Block = Mapping[str, Any]


@dataclass(frozen=True)
class BaseConfig:
    """What the rail is told by the settings.

    Attributes:
        network: CAIP-2 id that the node must belong to, as in eip155:8453.
        treasury: Our addresses, lower-case hex.
        assets: Tokens that count as money.
        finality: The block tag that decides: finalized or safe.
        start_block: First block to read; None begins at the block that is final at the first fetch.
    """

    network: str
    treasury: frozenset[str]
    assets: tuple[Asset, ...]
    finality: str = "finalized"
    start_block: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a log says that it is."""

    block_hash: str
    number: int


@dataclass
class Window:
    """What one fetch has seen so far.

    Attributes:
        final: Header of the block that decides.
        head: Number of the newest block.
        observations: What was seen.
        refused: What cannot be a row.
        seen: Ids that were seen on the chain, the unchanged ones among them.
        notes: Counts.
    """

    final: Block
    head: int
    observations: list[Observation] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    seen: set[Any] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def final_number(self) -> int:
        """Number of the block that decides."""
        return int(self.final["number"], 16)

    def count(self, note: str) -> None:
        """Counts something worth plotting."""
        self.notes[note] = self.notes.get(note, 0) + 1
