"""Channels: who delivers where in the landing zone, which tables they may write, who may attest.

MASQUES_LANDING_CHANNELS names a YAML file, a list of entries:

    - prefix: reputation_events/platform/   # below the landing zone; the longest that fits counts
      channel: platform
      tables: [reputation_events]           # all that fit the prefix when not given
      attests: true                         # false when not given

A prefix begins with a table's folder, or with a folder of the producer's own, which then has the
tables' folders in it: `gate/` has gate/api_requests/. Without the setting everything in the zone is
one channel, which attests nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import FOLDERS
from masques_pipelines.warehouse.client import Warehouse

# The channel of everything in the landing zone, when no file says otherwise.
LANDING: Final = "landing"
# What is not delivered through the landing zone.
PIPELINE: Final = "pipeline"
FRAME: Final = "frame"
NO_CHANNEL: Final = "no_channel"
NOT_ALLOWED: Final = "not_allowed"
_TABLE: Final = "masques_ops.landing_channels"
_COLUMNS: Final = ("channel", "attests", "tables", "prefixes", "recorded_at")
_RECORDED: Final = """
SELECT toString(channel), attests, tables, prefixes FROM masques_ops.landing_channels_current"""


class ChannelsError(PermanentError):
    """The file of channels is not valid; the text names the file and the entry."""


class _Entry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prefix: Annotated[str, Field(max_length=500)]
    channel: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    tables: Annotated[list[str], Field(min_length=1)] | None = None
    attests: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.channel in (PIPELINE, FRAME):
            raise ValueError(f"{self.channel} is what the pipeline calls its own: take another")
        first, slash, _rest = self.prefix.partition("/")
        if any(part.startswith((".", "_")) for part in self.prefix.split("/")) or "//" in (
            f"/{self.prefix}"
        ):
            raise ValueError(f"{self.prefix!r} is not a path below the landing zone")
        if first in FOLDERS and first not in TABLES:
            raise ValueError(f"{first}/ is not a table of the intake: it has no channels")
        if first and not slash:
            raise ValueError(f"{self.prefix!r} should begin with a folder and a slash: {first}/")
        unknown = sorted(set(self.tables or ()) - set(TABLES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a table: give some of {', '.join(TABLES)}")
        if first in TABLES and set(self.tables or ()) - {first}:
            raise ValueError(f"files below {first}/ are of that table only")
        return self

    @property
    def allowed(self) -> frozenset[str]:
        first = self.prefix.partition("/")[0]
        return frozenset(self.tables or ([first] if first in TABLES else TABLES))


@dataclass(frozen=True)
class Delivery:
    """Who delivers below a prefix, and what they may."""

    prefix: str
    channel: str
    tables: frozenset[str]
    attests: bool = False


@dataclass(frozen=True)
class Channels:
    """The channels of a landing zone."""

    deliveries: tuple[Delivery, ...]

    def of(self, path: str) -> Delivery | None:
        """Returns who delivered a file, by its path below the landing zone."""
        fitting = [each for each in self.deliveries if path.startswith(each.prefix)]
        return max(fitting, key=lambda each: len(each.prefix), default=None)

    def refusal(self, path: str, table: str) -> str:
        """Returns why a file may not be loaded into a table, '' when it may."""
        found = self.of(path)
        if found is None:
            return f"{NO_CHANNEL}: no prefix of MASQUES_LANDING_CHANNELS fits it: add one, replay"
        if table not in found.tables:
            return (
                f"{NOT_ALLOWED}: the channel {found.channel} may not write {table}: deliver it by "
                "another, or allow it in MASQUES_LANDING_CHANNELS, then replay"
            )
        return ""

    def name_of(self, source: str) -> str:
        """Returns the channel's name of a file, or of what is not a file of the zone."""
        if source.startswith(f"{FRAME}:"):
            return FRAME
        found = self.of(source)
        return found.channel if found is not None else ""

    def folders(self, table: str) -> tuple[str, ...]:
        """Returns the folders of the landing zone that may hold files of a table."""
        firsts = {each.prefix.partition("/")[0] for each in self.deliveries} - {"", *TABLES}
        return (table, *(f"{first}/{table}" for first in sorted(firsts)))

    def all_folders(self) -> tuple[str, ...]:
        """Returns every folder of the landing zone that has a reader."""
        return (*FOLDERS, *(folder for table in TABLES for folder in self.folders(table)[1:]))


ONE_CHANNEL: Final = Channels((Delivery("", LANDING, frozenset(TABLES)),))


def read_channels(path: Path | None) -> Channels:
    """Reads and checks the file of channels.

    Args:
        path: The file, or None: all of the landing zone is one channel.

    Raises:
        ChannelsError: The file cannot be read, is not YAML, or an entry is not valid.
    """
    if path is None:
        return ONE_CHANNEL
    # Most commands read no channels.
    import yaml  # noqa: PLC0415

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ChannelsError(f"{path}: the channels cannot be read: {reason}") from error
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise ChannelsError(f"{path}: entry {place}: {message}: correct it") from error
    _refuse_contradictions(path, entries)
    return Channels(
        tuple(Delivery(each.prefix, each.channel, each.allowed, each.attests) for each in entries)
    )


def _refuse_contradictions(path: Path, entries: Iterable[_Entry]) -> None:
    prefixes: set[str] = set()
    attests: dict[str, bool] = {}
    for entry in entries:
        if entry.prefix in prefixes:
            raise ChannelsError(f"{path}: {entry.prefix!r} is there twice: remove one entry")
        if attests.setdefault(entry.channel, entry.attests) != entry.attests:
            raise ChannelsError(
                f"{path}: the channel {entry.channel} attests by one entry and not by another: "
                "give the two different names"
            )
        prefixes.add(entry.prefix)


def record_channels(warehouse: Warehouse, channels: Channels) -> None:
    """Writes down what changed of the channels since they were recorded last."""
    wanted: dict[str, list[object]] = {}
    for name in sorted({each.channel for each in channels.deliveries}):
        mine = [each for each in channels.deliveries if each.channel == name]
        tables = sorted(frozenset().union(*(each.tables for each in mine)))
        prefixes = sorted(each.prefix for each in mine)
        wanted[name] = [name, int(mine[0].attests), tables, prefixes]
    known = {str(row[0]): list(row) for row in warehouse.rows(_RECORDED)}
    for name in known:
        wanted.setdefault(name, [name, 0, [], []])
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    changed = [
        dict(zip(_COLUMNS, [*row, now], strict=True))
        for name, row in wanted.items()
        if known.get(name) != row
    ]
    warehouse.insert_json(_TABLE, changed)
