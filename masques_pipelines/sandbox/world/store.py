"""Keeps a world in a folder, and moves its clock: what lies before the clock is delivered.

A world is made by whole days and shown by time. So however the clock moves, in one step or in many,
the same bytes are in the same files.
"""

import copy
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from masques_pipelines.errors import PermanentError
from masques_pipelines.ledger.growing.source import (
    ACCOUNTS_NAME,
    CLOCK_NAME,
    DAYS_NAME,
    file_name,
)
from masques_pipelines.ledger.records import Records
from masques_pipelines.sandbox.world.day import Day, next_day
from masques_pipelines.sandbox.world.landing import LandingFiles, Slice
from masques_pipelines.sandbox.world.payments import Wallets
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.records import accounts, change_events
from masques_pipelines.sandbox.world.shape import DAY, PAYMENT, SECOND, Rows, Shape
from masques_pipelines.sandbox.world.state import first_state, load_state

WORLD: Final = "world"
LEDGER: Final = "ledger"
LANDING: Final = "landing"
_KEPT: Final = "world.json"
_STATE: Final = "state.npz"
_PAYMENTS: Final = "payments"
# The release of TigerBeetle whose records these are; what a real server of it holds is the same.
RELEASE: Final = "0.17.9"
SLICE_S: Final = 300


class WorldError(PermanentError):
    """The world cannot be made, read or moved on; the text says what to do."""


@dataclass(frozen=True)
class World:
    """What is kept of a world beside its files.

    Attributes:
        shape: What it follows from.
        born_ns: Up to here its files are by day, afterwards by slice.
        now_ns: Its clock: nothing later is shown.
        slice_s: Length of a slice.
    """

    shape: Shape
    born_ns: int
    now_ns: int
    slice_s: int = SLICE_S


def read_world(root: Path) -> World:
    """Returns the world of a sandbox's folder.

    Raises:
        WorldError: It is missing or damaged.
    """
    path = root / WORLD / _KEPT
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        shape = Shape(**{each.name: int(kept["shape"][each.name]) for each in fields(Shape)})
        numbers = {name: int(kept[name]) for name in ("born_ns", "now_ns", "slice_s")}
        return World(shape, **numbers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(
            f"{path}: it cannot be read as the sandbox's world ({type(error).__name__}): make it "
            "again with `masques sandbox new`"
        ) from error


def is_world(root: Path) -> bool:
    """Returns whether a sandbox's folder holds a world."""
    return (root / WORLD / _KEPT).is_file()


def make_world(root: Path, world: World) -> None:
    """Makes a world in an empty folder, and shows what lies before its clock.

    Raises:
        WorldError: The folder holds one already, or cannot be written.
    """
    if is_world(root):
        raise WorldError(f"{root}: there is a world already: `masques sandbox new` replaces it")
    people = Population(world.shape)
    for name in (
        WORLD,
        f"{WORLD}/{_PAYMENTS}",
        f"{LEDGER}/{DAYS_NAME}",
        f"{LEDGER}/{ACCOUNTS_NAME}",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    first_state(people).save(root / WORLD / _STATE)
    LandingFiles(root / LANDING, people, Wallets(people)).write_first()
    _show(root, replace(world, now_ns=world.shape.start_ns), world.now_ns)


def remove_world(root: Path) -> None:
    """Removes a world and everything that was read from it: only what this project wrote."""
    for name in (WORLD, LEDGER, LANDING, "rails", "warehouse"):
        shutil.rmtree(root / name, ignore_errors=True)


def advance(root: Path, until_ns: int) -> World:
    """Moves a world's clock on, and shows what lies before it; returns the world as it is then.

    Args:
        root: The sandbox's folder.
        until_ns: The new time; an earlier one than the clock's changes nothing.

    Raises:
        WorldError: The world is missing or damaged.
    """
    world = read_world(root)
    return world if until_ns <= world.now_ns else _show(root, world, until_ns)


def read_payments(root: Path, days: range | None = None) -> Rows:
    """Returns the payments of some days of a world, or of all."""
    folder = root / WORLD / _PAYMENTS
    paths = sorted(folder.glob("*.npy")) if days is None else [_path(folder, day) for day in days]
    return np.concatenate(
        [np.empty(0, PAYMENT), *(np.load(path) for path in paths if path.exists())]
    )


def digest(root: Path) -> str:
    """Returns a digest of every byte that a world shows: files, ledger and payments."""
    found = hashlib.sha256()
    for folder in (LANDING, LEDGER, f"{WORLD}/{_PAYMENTS}"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file():
                found.update(str(path.relative_to(root)).encode())
                found.update(path.read_bytes())
    return found.hexdigest()


def _show(root: Path, world: World, until_ns: int) -> World:
    people = Population(world.shape)
    files = LandingFiles(root / LANDING, people, Wallets(people))
    state = load_state(root / WORLD / _STATE)
    while True:
        after = copy.deepcopy(state)
        day = next_day(people, after)
        _write_day(root, people, day)
        payments = read_payments(root, range(day.number - 1, day.number + 1))
        for cut in slices(world, day.start_ns):
            if world.now_ns < cut.end_ns <= until_ns:
                files.write(day, cut, payments)
        if until_ns < day.start_ns + DAY:
            break
        state = after
        state.save(root / WORLD / _STATE)
    shown = replace(world, now_ns=until_ns)
    _write_clock(root, shown)
    return shown


def slices(world: World, start_ns: int) -> Iterator[Slice]:
    """Yields the slices of a day, oldest first: one before the world was born, then short ones."""
    end_ns, step = start_ns + DAY, world.slice_s * SECOND
    born = min(max(world.born_ns, start_ns), end_ns)
    if born > start_ns:
        yield Slice(start_ns, born)
    first = start_ns + -(-(born - start_ns + 1) // step) * step
    edges = [born, *range(first, end_ns, step), end_ns]
    for begin, end in itertools.pairwise(edges):
        if begin < end:
            yield Slice(begin, end)


def _write_day(root: Path, people: Population, day: Day) -> None:
    _put(root / LEDGER / ACCOUNTS_NAME / file_name(day.number), accounts(people, day.opening))
    _put(root / LEDGER / DAYS_NAME / file_name(day.number), change_events(people, day))
    path = _path(root / WORLD / _PAYMENTS, day.number)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, day.rows["payments"])
    part.replace(path)


def _put(path: Path, records: Records) -> None:
    """Replaces a file: who has mapped it keeps what was there."""
    part = path.with_suffix(".part")
    part.write_bytes(records.data)
    part.replace(path)


def _write_clock(root: Path, world: World) -> None:
    clock = {
        "start_ns": world.shape.start_ns,
        "now_ns": world.now_ns,
        "cluster": world.shape.seed,
        "release": RELEASE,
    }
    _put_json(root / LEDGER / CLOCK_NAME, clock)
    _put_json(root / WORLD / _KEPT, asdict(world))


def _put_json(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    part.replace(path)


def _path(folder: Path, day: int) -> Path:
    return folder / f"{day:06d}.npy"


def shown_time(ns: int) -> str:
    """Returns a time for people."""
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
