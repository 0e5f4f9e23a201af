"""`masques sandbox`: a made world of agents, payments and gates, and its clock."""

import re
import time
from pathlib import Path
from typing import Final

import click

from masques_pipelines.commands.beside import WITH_PARENT, parent_is_gone
from masques_pipelines.commands.settings import announce
from masques_pipelines.commands.warehouse import COMMAND_LOCK_TIMEOUT_S, opened_warehouse
from masques_pipelines.errors import SettingError
from masques_pipelines.sandbox.stand_ins import with_stand_ins
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse

_LENGTHS: Final = {"m": 60, "h": 3_600, "d": 86_400}
_SECOND: Final = 10**9


class Length(click.ParamType[int]):
    """A length of time: 30m, 6h, 10d."""

    name = "length"

    def convert(
        self, value: object, parameter: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Returns nanoseconds."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([mhd])", str(value))
        if found is None:
            self.fail("write a number and m, h or d: 30m, 6h, 10d", parameter, context)
        return int(found[1]) * _LENGTHS[found[2]] * _SECOND


@click.group()
def sandbox() -> None:
    """Make a world that agrees with itself, and move its clock."""


@sandbox.command()
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--days", type=click.IntRange(1, 360), default=90, show_default=True)
@click.option(
    "--scale",
    type=click.FloatRange(0.001, 10),
    default=0.1,
    show_default=True,
    help="1 is a million requests in 90 days.",
)
@click.option(
    "--ago",
    type=Length(),
    default=0,
    help="How long before now its clock stands (10d): so far it can be advanced at once.",
)
@click.option(
    "--troubles",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="How many things go wrong, kind after kind.",
)
@click.option("--yes", is_flag=True, help="Replace a world, and what was read of it, unasked.")
def new(  # noqa: PLR0913 - the options of the command
    *, seed: int, days: int, scale: float, ago: int, troubles: int, yes: bool
) -> None:
    """Make a world whose past ends now, in place of the sandbox that is there."""
    from masques_pipelines.sandbox.world import store  # noqa: PLC0415 - numpy takes long to load

    root = sandbox_folder()
    if store.is_filled(root) and not yes:
        click.confirm(f"{root}: replace this sandbox, its landing zone and warehouse?", abort=True)
    now_ns = time.time_ns() - ago
    began = time.monotonic()
    world = store.world_until(now_ns, seed=seed, days=days, scale=scale, troubles=troubles)
    store.replace_world(root, world, lock_timeout_s=COMMAND_LOCK_TIMEOUT_S)
    click.echo(
        f"world      seed {seed}, {days} days up to {store.shown_time(now_ns)}, made in "
        f"{time.monotonic() - began:.0f} s: {root}"
    )
    click.echo("next       masques asset materialize --select '*'     reads all of it")


@sandbox.command()
@click.argument("length", type=Length())
def advance(length: int) -> None:
    """Move the world's clock on by LENGTH (30m, 6h, 10d), at most to now."""
    from masques_pipelines.sandbox.world import store  # noqa: PLC0415 - numpy takes long to load

    root = sandbox_folder()
    until_ns = store.read_world(root).now_ns + length
    if until_ns > time.time_ns():
        ahead_s = (until_ns - time.time_ns()) // _SECOND
        raise SettingError(
            f"LENGTH: it is {ahead_s + 1} s more than there is up to now, and the intake refuses "
            "what lies ahead: give less, `masques sandbox live`, or make a world whose clock "
            "stands earlier (masques sandbox new --ago 10d)"
        )
    click.echo(f"clock      {store.shown_time(store.advance(root, until_ns).now_ns)}")


@sandbox.command()
@click.option("--for", "length", type=Length(), help="How long; without it until Ctrl-C.")
@click.option("--tick", type=click.IntRange(1, 3_600), default=60, show_default=True)
@click.option("--every", type=Length(), help="How often something goes wrong; without it never.")
@click.option(WITH_PARENT, is_flag=True, hidden=True)
def live(*, length: int | None, tick: int, every: int | None, with_parent: bool) -> None:
    """Keep the world's clock at now: traffic arrives while this runs."""
    from masques_pipelines.sandbox.world import store  # noqa: PLC0415 - numpy takes long to load

    root, is_over = sandbox_folder(), parent_is_gone(with_parent=with_parent)
    began = time.monotonic()
    end = None if length is None else began + length / _SECOND
    troubles = 0
    while True:
        world = store.advance(root, time.time_ns())
        click.echo(f"clock      {store.shown_time(world.now_ns)}")
        if every is not None and time.monotonic() - began >= (troubles + 1) * every / _SECOND:
            troubles += 1
            entry = store.add_next_trouble(root)
            click.echo(f"trouble    {entry['number']} {entry['kind']}: {entry['state']}")
        left = tick if end is None else min(tick, end - time.monotonic())
        if left <= 0 or is_over():
            return
        time.sleep(left)


@sandbox.command()
@click.argument("kind", required=False)
def trouble(kind: str | None) -> None:
    """Let a trouble of KIND happen from now on; without KIND, list the kinds."""
    from masques_pipelines.sandbox.world import store  # noqa: PLC0415 - numpy takes long to load
    from masques_pipelines.sandbox.world.troubles.catalog import KINDS  # noqa: PLC0415

    if kind is None:
        for name in sorted(KINDS):
            click.echo(name)
        return
    if kind not in KINDS:
        raise SettingError(
            f"KIND: there is no trouble {kind[:60]!r}; `masques sandbox trouble` lists them"
        )
    entry = store.add_trouble(sandbox_folder(), kind)
    if entry["state"] != "done":
        click.echo(f"{kind}: there is nothing to hit today; try again after `masques sandbox live`")
        raise SystemExit(1)
    classes = ", ".join(entry["classes"])
    named = sorted({f"{each['by']} {each['name']}" for each in entry["findings"]})
    click.echo(f"trouble    {entry['number']} {kind}: can be seen from {entry['visible_at']}")
    click.echo(f"named by   {', '.join([*named, *([f'break {classes}'] if classes else [])])}")


@sandbox.command()
def check() -> None:
    """Compare what the pipeline found with the troubles of the world, both ways.

    Exits with 1 when a trouble was missed, or something was found that nobody made.
    """
    settings, root = _sandbox_settings()
    with opened_warehouse(settings, "sandbox check") as warehouse:
        if not show_comparison(root, warehouse, each_kind=True):
            raise SystemExit(1)


def show_comparison(root: Path, warehouse: Warehouse, *, each_kind: bool = False) -> bool:
    """Shows what was found of a world's troubles; returns whether it was all, and nothing else."""
    from masques_pipelines.sandbox import check as checks  # noqa: PLC0415
    from masques_pipelines.sandbox.world import store  # noqa: PLC0415 - numpy takes long to load
    from masques_pipelines.sandbox.world.landing import moment  # noqa: PLC0415

    now_ns = store.read_world(root).now_ns
    compared_to_ns = max(checks.compared_to_ns(warehouse), 0)
    done = checks.compare(
        store.read_troubles(root),
        checks.read_found(warehouse, compared_to_ns),
        read_to=moment(checks.read_to_ns(warehouse, now_ns)),
        compared_to=moment(compared_to_ns),
    )
    for kind in sorted(done.expected if each_kind else ()):
        click.echo(f"{kind:<22} {done.found[kind]} of {done.expected[kind]} found")
    for kind in sorted(done.unnamed if each_kind else ()):
        click.echo(f"{kind:<22} {done.unnamed[kind]} that no check names")
    for kind, (by, name, reference) in done.missed:
        click.echo(f"missed     {kind}: {by} {name} of {reference}")
    for by, name, reference in done.invented:
        click.echo(f"invented   {by} {name} of {reference}")
    total, named = done.expected.total(), done.found.total()
    rest = "nothing else" if not done.invented else f"{len(done.invented)} that nobody made"
    click.echo(
        f"troubles   {named} of {total} found, {rest}; {done.unnamed.total()} that no check names, "
        f"{done.later} to be seen later or without anything to hit"
    )
    return done.is_right


def sandbox_folder() -> Path:
    """Returns the sandbox's folder.

    Raises:
        SettingError: The settings are of production.
    """
    return _sandbox_settings()[1]


def _sandbox_settings() -> tuple[Settings, Path]:
    settings = with_stand_ins(read_settings())
    announce(settings)
    if settings.sandbox_folder is None:
        raise SettingError(
            "MASQUES_SANDBOX: these settings are of production, which has no world: set "
            "MASQUES_SANDBOX=1 and unset the real systems, or give MASQUES_HOME another folder"
        )
    return settings, settings.sandbox_folder
