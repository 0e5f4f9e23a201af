"""Keeps a world in a folder, and moves its clock: what lies before the clock is delivered.

A world is made by whole days and shown by time. So however the clock moves, in one step or in many,
the same bytes are in the same files.
"""

import contextlib
import copy
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
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
from masques_pipelines.sandbox.places import (
    LANDING,
    LEDGER,
    LOCK,
    SPANS,
    WAREHOUSE,
    WORLD,
    WORLD_NAME,
    WORLD_VERSION,
    check_version,
    is_world,
    locked,
)
from masques_pipelines.sandbox.world.day import Day, next_day
from masques_pipelines.sandbox.world.landing import LandingFiles, Slice
from masques_pipelines.sandbox.world.payments import Wallets
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.records import accounts, change_events
from masques_pipelines.sandbox.world.shape import (
    DAY,
    PAYMENT,
    SECOND,
    Rows,
    Shape,
    shape_of,
)
from masques_pipelines.sandbox.world.state import first_state, load_state
from masques_pipelines.sandbox.world.troubles.catalog import KINDS, apply, lines
from masques_pipelines.sandbox.world.troubles.holds import stuck_holds
from masques_pipelines.sandbox.world.troubles.observed import (
    ExtraFile,
    NodeChange,
    Observed,
    Trouble,
)
from masques_pipelines.warehouse.embedded import emptied
from masques_pipelines.whole_file import whole_file

_STATE: Final = "state.npz"
_PAYMENTS: Final = "payments"
# Payments as the journal tells them; only a trouble makes a difference.
_TOLD: Final = "told"
# What nodes show otherwise for a while.
_NODES: Final = "nodes"
_TROUBLES: Final = "troubles.ndjson"
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
        troubles: What goes wrong, by time.
    """

    shape: Shape
    born_ns: int
    now_ns: int
    slice_s: int = SLICE_S
    troubles: tuple[Trouble, ...] = ()


def read_world(root: Path) -> World:
    """Returns the world of a sandbox's folder.

    Raises:
        WorldError: It is missing or damaged.
        PermanentError: It was made by another version.
    """
    path = root / WORLD / WORLD_NAME
    if not path.exists():
        raise WorldError(f"{root}: there is no world yet: `masques sandbox new` makes one")
    check_version(root)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        shape = Shape(**{each.name: int(kept["shape"][each.name]) for each in fields(Shape)})
        numbers = {name: int(kept[name]) for name in ("born_ns", "now_ns", "slice_s")}
        troubles = tuple(
            Trouble(int(each["number"]), str(each["kind"]), int(each["at_ns"]))
            for each in kept["troubles"]
        )
        return World(shape, **numbers, troubles=troubles)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorldError(
            f"{path}: it cannot be read as the sandbox's world ({type(error).__name__}): make it "
            "again with `masques sandbox new`"
        ) from error


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
        f"{WORLD}/{_TOLD}",
        f"{WORLD}/{_NODES}",
        SPANS,
        f"{LEDGER}/{DAYS_NAME}",
        f"{LEDGER}/{ACCOUNTS_NAME}",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    first_state(people).save(root / WORLD / _STATE)
    LandingFiles(root / LANDING, people, Wallets(people)).write_first()
    _show(root, replace(world, now_ns=world.shape.start_ns), world.now_ns)


def world_until(until_ns: int, *, seed: int, days: int, scale: float, troubles: int) -> World:
    """Returns a world of some days that ends, and is born, at a time; make_world makes it."""
    shape = shape_of(seed, (until_ns // DAY - days + 1) * DAY, scale)
    return World(shape, until_ns, until_ns, troubles=plan(shape, until_ns, troubles))


def replace_world(root: Path, world: World, *, lock_timeout_s: float) -> None:
    """Makes a world in place of a sandbox and of everything that was read from it.

    Runs and commands of other processes wait meanwhile, or are waited for.

    Args:
        root: The sandbox's folder, with or without a world.
        world: The new one.
        lock_timeout_s: Longest wait for another process that has the sandbox's warehouse open.

    Raises:
        WorldError: The folder is not a sandbox's: what is in it is somebody else's.
        WarehouseBusyError: Another process has the warehouse open; nothing was removed.
    """
    if is_filled(root) and not any((root / name).exists() for name in (WORLD, LOCK)):
        raise WorldError(
            f"{root}: it holds files that no sandbox made, and a new world would replace them: "
            "give the sandbox another folder (MASQUES_HOME, or sandbox:///… as the ledger)"
        )
    root.mkdir(parents=True, exist_ok=True)
    warehouse = root / WAREHOUSE
    has_warehouse = warehouse.is_dir()
    # In this order: a run that has the warehouse open may still look whether there is a world.
    with (
        emptied(warehouse, lock_timeout_s=lock_timeout_s)
        if has_warehouse
        else contextlib.nullcontext(),
        locked(root),
    ):
        for name in (WORLD, LEDGER, LANDING, SPANS):
            shutil.rmtree(root / name, ignore_errors=True)
        make_world(root, world)


def is_filled(root: Path) -> bool:
    """Returns whether there is a folder with anything in it."""
    return root.is_dir() and any(root.iterdir())


def advance(root: Path, until_ns: int) -> World:
    """Moves a world's clock on, and shows what lies before it; returns the world as it is then.

    Args:
        root: The sandbox's folder.
        until_ns: The new time; an earlier one than the clock's changes nothing.

    Raises:
        WorldError: The world is missing or damaged.
    """
    with _locked_world(root) as world:
        return world if until_ns <= world.now_ns else _show(root, world, until_ns)


def read_payments(root: Path, days: range | None = None, folder: str = _PAYMENTS) -> Rows:
    """Returns the payments of some days of a world, or of all, as the rails have them."""
    kept = root / WORLD / folder
    paths = sorted(kept.glob("*.npy")) if days is None else [_path(kept, day) for day in days]
    return np.concatenate(
        [np.empty(0, PAYMENT), *(np.load(path) for path in paths if path.exists())]
    )


def read_node_changes(root: Path) -> list[NodeChange]:
    """Returns what nodes of a world show otherwise for a while."""
    paths = sorted((root / WORLD / _NODES).glob("*.json"))
    return [NodeChange(**each) for path in paths for each in json.loads(path.read_bytes())]


def digest(root: Path) -> str:
    """Returns a digest of every byte that a world shows: files, ledger and payments."""
    found = hashlib.sha256()
    for folder in (LANDING, LEDGER, SPANS, f"{WORLD}/{_PAYMENTS}"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file():
                found.update(str(path.relative_to(root)).encode())
                found.update(path.read_bytes())
    return found.hexdigest()


def add_trouble(root: Path, kind: str) -> dict[str, Any]:
    """Lets a trouble happen from the clock's time on; returns its entry of troubles.ndjson.

    Raises:
        WorldError: The world is missing or damaged.
    """
    with _locked_world(root) as world:
        number = 1 + max((each.number for each in world.troubles), default=0)
        made = Trouble(number, kind, world.now_ns + 1)
        _show(root, replace(world, troubles=(*world.troubles, made)), world.now_ns)
    return next(each for each in read_troubles(root) if each["number"] == number)


def add_next_trouble(root: Path) -> dict[str, Any]:
    """Lets a trouble happen, kind after kind, of the next kind that finds something to hit."""
    world = read_world(root)
    kinds = np.random.default_rng([world.shape.seed, 4]).permutation(sorted(KINDS)).tolist()
    entry: dict[str, Any] = {}
    for place in range(len(world.troubles), len(world.troubles) + len(kinds)):
        entry = add_trouble(root, kinds[place % len(kinds)])
        if entry["state"] == "done":
            break
    return entry


def read_troubles(root: Path) -> list[dict[str, Any]]:
    """Returns the entries of troubles.ndjson, by number."""
    path = root / WORLD / _TROUBLES
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plan(shape: Shape, until_ns: int, count: int) -> tuple[Trouble, ...]:
    """Plans troubles of a world: kind after kind, at times that follow from its seed."""
    chance = np.random.default_rng([shape.seed, 3])
    kinds = chance.permutation(sorted(KINDS)).tolist()
    first = min(shape.start_ns + DAY, until_ns)
    last = max(first + 1, until_ns - DAY)
    times = sorted(chance.integers(first, last, count).tolist())
    # Early enough on its day to hit something on it.
    times = [at - max(0, at % DAY - 18 * 3_600 * SECOND) for at in times]
    return tuple(
        Trouble(number, kinds[number % len(kinds)], at) for number, at in enumerate(times, start=1)
    )


@contextlib.contextmanager
def _locked_world(root: Path) -> Iterator[World]:
    """Lets one process at a time move a world; raises WorldError where there is none."""
    if not root.is_dir():
        read_world(root)
    with locked(root):
        yield read_world(root)


def _show(root: Path, world: World, until_ns: int) -> World:
    people = Population(world.shape)
    files = LandingFiles(root / LANDING, people, Wallets(people))
    state = load_state(root / WORLD / _STATE)
    entries = {each["number"]: each for each in read_troubles(root)}
    while True:
        after = copy.deepcopy(state)
        day_start = world.shape.start_ns + state.day * DAY
        day_end = day_start + DAY
        hits = [each for each in world.troubles if day_start <= each.at_ns < day_end]
        seen = _observed(world, files, next_day(people, after, stuck_holds(people, hits)))
        entries |= {each["number"]: each for each in apply(seen, hits)}
        after.channels["open"][sorted(seen.ended)] = False
        _write_text(root / WORLD / _TROUBLES, lines(entries[each] for each in sorted(entries)))
        _write_day(root, people, seen)
        days = range(seen.day.number - 1, seen.day.number + 1)
        told = read_payments(root, days, folder=_TOLD)
        for cut in slices(world, seen.day.start_ns):
            if world.now_ns < cut.end_ns <= until_ns:
                files.write(seen.day, cut, told)
        for extra in seen.extra:
            if world.now_ns < extra.at_ns <= until_ns:
                files.put(extra.name, partial(_content, files.root, extra))
        if until_ns < day_end:
            break
        state = after
        state.save(root / WORLD / _STATE)
    shown = replace(world, now_ns=until_ns)
    _write_clock(root, shown)
    return shown


def _observed(world: World, files: LandingFiles, day: Day) -> Observed:
    def slice_of(at_ns: int) -> tuple[int, int, str]:
        cut = next(each for each in slices(world, day.start_ns) if at_ns < each.end_ns)
        return cut.begin_ns, cut.end_ns, cut.name

    payments = day.rows["payments"]
    return Observed(files.people, files.wallets, day, payments.copy(), payments.copy(), slice_of)


def _content(landing: Path, extra: ExtraFile) -> bytes:
    return extra.content((landing / extra.of).read_bytes() if extra.of else b"")


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


def _write_day(root: Path, people: Population, seen: Observed) -> None:
    day = seen.day
    for name, records in (
        (ACCOUNTS_NAME, accounts(people, day.opening)),
        (DAYS_NAME, change_events(people, day)),
    ):
        with whole_file(root / LEDGER / name / file_name(day.number)) as file:
            file.write(records.data)
    _put_json(root / WORLD / _NODES / f"{day.number:06d}.json", [*map(asdict, seen.nodes)])
    with whole_file(root / SPANS / file_name(day.number)) as file:
        file.write(day.rows["spans"].data)
    for folder, payments in ((_PAYMENTS, seen.moved), (_TOLD, seen.told)):
        with whole_file(_path(root / WORLD / folder, day.number)) as file:
            np.save(file, payments)


def _write_clock(root: Path, world: World) -> None:
    clock = {
        "start_ns": world.shape.start_ns,
        "now_ns": world.now_ns,
        "cluster": world.shape.seed,
        "release": RELEASE,
    }
    _put_json(root / LEDGER / CLOCK_NAME, clock)
    _put_json(root / WORLD / WORLD_NAME, asdict(world) | {"version": WORLD_VERSION})


def _put_json(path: Path, content: Any) -> None:
    _write_text(path, json.dumps(content) + "\n")


def _write_text(path: Path, content: str) -> None:
    with whole_file(path) as file:
        file.write(content.encode())


def _path(folder: Path, day: int) -> Path:
    return folder / f"{day:06d}.npy"


def shown_time(ns: int) -> str:
    """Returns a time for people."""
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"
