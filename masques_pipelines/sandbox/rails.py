"""Installs the sandbox's rails: nodes that compute their answers, and the gate's journal.

What is installed is a world: its seed, its end, and its present time, which stands still until it
is moved, so that a second demo reads what the first one did.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.sandbox.gate_day import LANDING
from masques_pipelines.sandbox.part import Part
from masques_pipelines.sandbox.parties import LND_PUBKEY, START, TREASURY

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx2

    from masques_pipelines.sandbox.nodes.facts import Payment

FOLDER: Final = "rails"
WORLD_NAME: Final = "world.json"
JOURNAL_NAME: Final = "demo.ndjson"
_SEED: Final = 1


@dataclass(frozen=True)
class World:
    """An installed world.

    Attributes:
        seed: Decides hashes, signatures and preimages.
        ends_s: When its story ends, seconds since 1970.
        now_s: Its present: the nodes show nothing later.
    """

    seed: int
    ends_s: int
    now_s: int


@dataclass(frozen=True)
class NodeOf:
    """Opens a rail's node: what `RailSettings.transport` is in the sandbox."""

    root: Path
    rail: str

    def __call__(self) -> "httpx2.BaseTransport":
        """Returns the node.

        Raises:
            PermanentError: The world is missing or damaged.
        """
        if (self.root / "world").is_dir():
            # It takes longer to load than most commands need.
            from masques_pipelines.sandbox.world import nodes  # noqa: PLC0415

            return nodes.open_node(self.root, self.rail)
        return open_node(read_world(self.root), self.rail)


def install(root: Path) -> str:
    """Installs a world whose newest fact is of this moment, and its journal."""
    folder = root / FOLDER
    if not folder.is_dir():
        now_s = int(time.time())
        _install(folder, root / LANDING, World(_SEED, now_s, now_s))
    return f"rails      computed nodes of {folder / WORLD_NAME}"


def read_world(root: Path) -> World:
    """Returns the installed world.

    Raises:
        PermanentError: It is missing or damaged.
    """
    path = root / FOLDER / WORLD_NAME
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return World(**{name: int(kept[name]) for name in World.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PermanentError(
            f"{path}: it cannot be read as the sandbox's world ({type(error).__name__}): remove "
            "the sandbox's folder and run again"
        ) from error


def open_node(
    world: World, rail: str, payments: "Iterable[Payment] | None" = None
) -> "httpx2.BaseTransport":
    """Returns a node that answers as a rail of a world.

    Args:
        world: Seed and time.
        rail: Name of the rail.
        payments: Its facts; those of the demo's story when None.
    """
    # They take longer to load than most commands need.
    from masques_pipelines.sandbox import story  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.base import BaseNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.facts import Genesis  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.lightning import LndNode  # noqa: PLC0415
    from masques_pipelines.sandbox.nodes.solana import SolanaNode  # noqa: PLC0415

    def clock() -> int:
        return world.now_s

    if payments is None:
        payments = story.demo_story(world.ends_s).payments[rail]
    funds = dict.fromkeys(TREASURY["base"], 0)
    genesis = Genesis(world.ends_s - story.BEGINS_BEFORE_S, world.seed, funds)
    if rail == "base":
        return BaseNode(payments, clock, genesis)
    if rail == "solana":
        wallets, first_slot = TREASURY["solana"], START["solana"]
        return SolanaNode(payments, clock, genesis, treasury=wallets, first_slot=first_slot)
    return LndNode(payments, clock, genesis, pubkey=LND_PUBKEY)


def _install(folder: Path, landing: Path, world: World) -> None:
    from masques_pipelines.rails.journal.rail import FOLDER as JOURNAL_FOLDER  # noqa: PLC0415
    from masques_pipelines.sandbox.journal import journal_line  # noqa: PLC0415
    from masques_pipelines.sandbox.story import demo_story  # noqa: PLC0415

    said = demo_story(world.ends_s).announcements
    journal = landing / JOURNAL_FOLDER / JOURNAL_NAME
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("".join(journal_line(each, world.seed) for each in said), encoding="utf-8")
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(exist_ok=True)
    (part / WORLD_NAME).write_text(json.dumps(asdict(world)) + "\n", encoding="utf-8")
    part.rename(folder)  # last: what is under this name is whole


PART: Final = Part(
    install,
    shows=(
        ("Settlements, by rail and status (whole units of the currency)", "rails/by_rail"),
        ("What contradicts itself", "rails/findings"),
    ),
)
