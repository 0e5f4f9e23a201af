"""`masques intake`: load the landing zone, load again, check a file, look after quarantine."""

from collections.abc import Callable
from pathlib import Path

import click

from masques_pipelines import quarantine as quarantined
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.intake import reload as reloading
from masques_pipelines.intake import replay as replaying
from masques_pipelines.intake.channels import read_channels
from masques_pipelines.intake.restore import Restored
from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.intake.validation import validate_file
from masques_pipelines.landing.listing import ADVICE, PassedOver, by_reason
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.quarantine import REMEDIES, Selection

_TABLE_NAMES = click.Choice(list(TABLES))
_QUARANTINED_NAMES = click.Choice([*TABLES, *REMEDIES])
_ALL = "all"


@click.group()
def intake() -> None:
    """Load files of the landing zone, check one, look after quarantine."""


@intake.command()
@click.argument("tables", nargs=-1, type=_TABLE_NAMES)
def load(tables: tuple[str, ...]) -> None:
    """Load what is due of TABLES (of all when none is given), as intake_job does."""
    settings = command_settings()
    landing = open_landing(settings)
    channels = read_channels(settings.landing_channels)
    with opened_warehouse(settings, "intake load", writes=True) as warehouse:
        for name in tables or TABLES:
            done = load_table(
                warehouse,
                landing,
                TABLES[name],
                channels=channels,
                recent_days=settings.landing_recent_days,
            )
            _show(done)
    _show_passed_over("in no reader's folder", done.strays)


@intake.command()
@click.argument("file", required=False)
@click.option("--table", type=_TABLE_NAMES, help="All files of this table.")
def reload(file: str | None, table: str | None) -> None:
    """Load FILE, or all files of a table, again; rows that are there already stay as they are.

    FILE is a path below the landing zone. With --table, days whose rows were changed or doubled are
    loaded from their files from nothing, and the whole table is compared with what was written.
    """
    if (file is None) == (table is None):
        raise click.UsageError("give a file, or --table")
    settings = command_settings()
    landing = open_landing(settings)
    channels = read_channels(settings.landing_channels)
    with opened_warehouse(settings, "intake reload", writes=True) as warehouse:
        if table is not None:
            _show(reloading.reload_table(warehouse, landing, TABLES[table], channels=channels))
        else:
            _show(reloading.reload_file(warehouse, landing, str(file), channels=channels))


@intake.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--table", type=_TABLE_NAMES, help="The table; the folder of FILE when not given.")
@click.option("--rows", default=20, show_default=True, help="Rejected rows to show.")
def validate(file: Path, table: str | None, rows: int) -> None:
    """Show what of FILE would be loaded, what rejected, and why; no warehouse is needed.

    Exits with 1 when anything would be rejected.
    """
    command_settings()
    name = table or next((part for part in reversed(file.resolve().parts) if part in TABLES), None)
    if name is None:
        raise click.UsageError(f"none of the folders of {file} is a table: give --table")
    checked = validate_file(file.resolve(), name, bad_max=rows)
    _show(checked.result)
    for entry in checked.bad:
        # The problem of a whole file is in its counts above.
        if entry["line_no"] != quarantined.WHOLE_FILE:
            click.echo(f"line {entry['line_no']}: {entry['reason']}: {_cut(str(entry['raw']))}")
    left = checked.result.total("quarantined") + checked.result.files_failed - len(checked.bad)
    if left > 0:
        click.echo(f"and {left:,} more")
    if checked.bad:
        raise SystemExit(1)


@intake.group()
def quarantine() -> None:
    """Rows and files that could not be loaded."""


def _with_selection(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--source", default="", help="Only this file, as `list` and `show` name it."),
        click.option("--reason", default="", help="Only this reason, or this kind of reasons."),
        click.option("--table", "table_name", type=_QUARANTINED_NAMES, help="Only this table."),
    ):
        command = option(command)
    return command


_with_state = click.option(
    "--state",
    default=quarantined.OPEN,
    show_default=True,
    type=click.Choice([*quarantined.STATES, _ALL]),
    help="Only entries in this state.",
)


@quarantine.command("list")
@_with_selection
@_with_state
def list_(table_name: str | None, reason: str, source: str, state: str) -> None:
    """Count entries by table and reason."""
    selection = _selection(table_name, reason, source, state)
    with opened_warehouse(command_settings(), "intake quarantine list") as warehouse:
        found = quarantined.summary(warehouse, selection)
    if not found:
        is_empty = selection == Selection()
        click.echo("no open entry in quarantine" if is_empty else "no such entry")
    for row in found:
        click.echo(
            f"{row['rows']:>8,}  {row['table_name']:<18} {row['reason']:<32} {row['state']:<9} "
            f"since {row['oldest']:%Y-%m-%d %H:%M}, tried up to {row['attempts']} times"
        )


@quarantine.command()
@_with_selection
@_with_state
@click.option("--rows", default=20, show_default=True, help="Most entries to show.")
@click.option("--raw", "only_raw", is_flag=True, help="Only the lines, whole, to fix and deliver.")
def show(  # noqa: PLR0913 - one argument per option
    table_name: str | None, reason: str, source: str, state: str, *, rows: int, only_raw: bool
) -> None:
    """Show entries with their lines."""
    selection = _selection(table_name, reason, source, state)
    with opened_warehouse(command_settings(), "intake quarantine show") as warehouse:
        found = quarantined.entries(warehouse, selection, limit=rows)
    for row in found:
        if only_raw:
            if row["line_no"] != quarantined.WHOLE_FILE:
                click.echo(row["raw"])
            continue
        place = "" if row["line_no"] == quarantined.WHOLE_FILE else f":{row['line_no']}"
        table = f"{row['table_name']}  " if table_name is None else ""
        click.echo(f"{table}{row['source']}{place}  {row['reason']}  ({row['state']})")
        click.echo(f"    {_cut(str(row['raw']))}")


@quarantine.command()
@_with_selection
def replay(table_name: str | None, reason: str, source: str) -> None:
    """Try open entries again, after a fix; what passes is loaded and its entry closed."""
    selection = _selection(table_name, reason, source, quarantined.OPEN)
    settings = command_settings()
    with opened_warehouse(settings, "intake quarantine replay", writes=True) as warehouse:
        if table_name is None or table_name in TABLES:
            channels = read_channels(settings.landing_channels)
            landing = open_landing(settings)
            done = replaying.replay(warehouse, landing, selection, channels=channels)
            click.echo(
                f"tried {done.tried:,}, closed {done.closed:,}, {done.tried - done.closed:,} open"
            )
        left = quarantined.summary(warehouse, selection)
    for name in REMEDIES:
        rows = sum(row["rows"] for row in left if row["table_name"] == name)
        if rows or name == table_name:
            click.echo(f"{name}: {rows:,} open, which a replay does not load: {REMEDIES[name]}")


@quarantine.command()
@_with_selection
@click.confirmation_option(prompt="Discard these entries?")
def discard(table_name: str | None, reason: str, source: str) -> None:
    """Discard open entries; they are kept, as discarded."""
    selection = _selection(table_name, reason, source, quarantined.OPEN)
    settings = command_settings()
    with opened_warehouse(settings, "intake quarantine discard", writes=True) as warehouse:
        count = quarantined.discard(warehouse, selection)
    click.echo(f"discarded {count:,}")


def _selection(table_name: str | None, reason: str, source: str, state: str) -> Selection:
    return Selection(table_name or "", reason, source, "" if state == _ALL else state)


def _show_restored(restored: Restored) -> None:
    if restored.days:
        right = len(restored.days) - len({*restored.days} & {*restored.left})
        click.echo(f"    {right:,} of {len(restored.days):,} days or buckets restored as written")
    for day in restored.left:
        click.echo(f"    {day}: is not as written, and no file of the landing zone has it so")
    for line in restored.put_right:
        click.echo(f"    put right, and no longer a finding: {line}")


def _show(done: IntakeResult) -> None:
    click.echo(
        f"{done.table.name}: {len(done.files):,} files, {done.total('rows_read'):,} rows: "
        f"{done.total('loaded'):,} loaded, {done.total('duplicates'):,} duplicates, "
        f"{done.total('quarantined'):,} quarantined, {done.total('blank'):,} blank"
    )
    for result in done.files:
        if result.state == "failed":
            click.echo(f"    {result.source}: {result.problem}")
    for reason, rows in done.top_reasons():
        click.echo(f"    {rows:>8,}  {reason}")
    if done.total("unknown_fields"):
        click.echo(f"    {done.total('unknown_fields'):,} unknown fields, which were not loaded")
    if done.files_rewritten:
        click.echo(f"    {done.files_rewritten:,} files were rewritten with the same size and time")
    if done.restored:
        _show_restored(done.restored)
    if done.waiting:
        click.echo(f"    {done.waiting:,} files are still being written")
    if done.files_left:
        click.echo(f"    {done.files_left:,} files are left to the next run")
    if done.unlisted:
        click.echo(
            f"    {len(done.unlisted):,} folders of older days were not looked into, as the first "
            "run of a day does"
        )
    _show_passed_over("passed over", done.passed_over)


def _show_passed_over(where: str, entries: list[PassedOver]) -> None:
    for reason, count, first in by_reason(entries):
        click.echo(f"    {count:,} {where}, {reason} ({ADVICE[reason]}): {_cut(first)}")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:160] + "…"
