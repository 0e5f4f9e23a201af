"""Compares what the pipeline found with the troubles of a world, both ways."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.sandbox.collector import has_own_spans
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

Found = tuple[str, str, str]
_FOUND: Final = "sandbox/found"
_FOUND_SPANS: Final = "sandbox/found_spans"
# The rails are read least often: what came after their last run, no check can have seen.
_READ_TO: Final = (
    "SELECT toUnixTimestamp64Nano(toDateTime64(min(last), 9)) FROM "
    "(SELECT rail, max(finished_at) AS last FROM masques_ops.rail_runs GROUP BY rail)"
)
# A run has read what was there when it began.
_RUN_NS: Final = 120 * 10**9


@dataclass
class Comparison:
    """What was found of the troubles that today's checks can name.

    Attributes:
        found: How many of each kind were named in full.
        expected: How many of each kind can be seen by now.
        missed: What should have been found and was not: kind, and what would name it.
        invented: What was found and belongs to no trouble.
        unnamed: Troubles of each kind that only the reconciliation or reputation can name.
        later: How many cannot be seen yet, or hit nothing.
    """

    found: Counter[str] = field(default_factory=Counter)
    expected: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, Found]] = field(default_factory=list)
    invented: list[Found] = field(default_factory=list)
    unnamed: Counter[str] = field(default_factory=Counter)
    later: int = 0

    @property
    def is_right(self) -> bool:
        """Whether every trouble was found, and nothing else."""
        return not self.missed and not self.invented


def compare(
    entries: Iterable[Mapping[str, Any]], found: Iterable[Found], read_to: str
) -> Comparison:
    """Compares the entries of troubles.ndjson with what was found.

    Args:
        entries: The entries.
        found: What sql/sandbox/found.sql returns.
        read_to: The world's clock when it was last read, as ISO 8601: later troubles do not count.
    """
    there, made = set(found), Comparison()
    explained: set[Found] = set()
    for entry in entries:
        wanted = _findings(entry.get("findings", ()))
        explained |= wanted | _findings(entry.get("also", ()))
        if entry["state"] != "done" or entry["visible_at"] > read_to:
            made.later += 1
        elif not wanted:
            made.unnamed[entry["kind"]] += 1
        else:
            made.expected[entry["kind"]] += 1
            lacking = sorted(wanted - there)
            made.found[entry["kind"]] += not lacking
            made.missed += [(entry["kind"], each) for each in lacking]
    made.invented = sorted(there - explained)
    return made


def read_found(warehouse: Warehouse) -> list[Found]:
    """Returns what the checks found."""
    rows = warehouse.rows(sql(_FOUND))
    if has_own_spans(warehouse):
        rows += warehouse.rows(sql(_FOUND_SPANS))
    return [(str(by), str(name), str(of)) for by, name, of in rows]


def read_to_ns(warehouse: Warehouse, now_ns: int) -> int:
    """Returns up to when a world was read: its clock's time, or that of the last run before it."""
    return min(now_ns, int(warehouse.scalar(_READ_TO) or 0) - _RUN_NS)


def _findings(listed: Sequence[Mapping[str, str]]) -> set[Found]:
    return {(each["by"], each["name"], each["reference"]) for each in listed}
