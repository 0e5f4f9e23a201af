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
# Up to when every side was read by the newest comparison, and how long a payment may be in time.
_COMPARED_TO: Final = """
SELECT ifNull(toUnixTimestamp64Nano(arrayMin(mapValues(argMax(read_to, began_at)))), 0)
FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
"""
_IN_TIME_NS: Final = 2 * 3_600 * 10**9
_BREAK: Final = "break"
_ALL_NS: Final = 2**63 - 1


@dataclass
class Comparison:
    """What was found of the troubles that checks can name.

    Attributes:
        found: How many of each kind were named in full.
        expected: How many of each kind can be seen by now.
        missed: What should have been found and was not: kind, and what would name it.
        invented: What was found and belongs to no trouble.
        unnamed: Troubles of each kind that no check names: late files, and those of reputation.
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
    entries: Iterable[Mapping[str, Any]], found: Iterable[Found], read_to: str, compared_to: str
) -> Comparison:
    """Compares the entries of troubles.ndjson with what was found.

    Args:
        entries: The entries.
        found: What sql/sandbox/found.sql returns.
        read_to: The world's clock when it was last read, as ISO 8601: later troubles do not count.
        compared_to: The same of breaks: see compared_to_ns.
    """
    there, made = set(found), Comparison()
    explained: set[Found] = set()
    for entry in entries:
        everything = _wanted(entry)
        explained |= _findings(entry.get("also", ())).union(*everything)
        wanted = [
            each
            for each in everything
            if entry["visible_at"] <= (compared_to if _is_break(each) else read_to)
        ]
        if entry["state"] != "done" or (everything and not wanted):
            made.later += 1
        elif not wanted:
            made.unnamed[entry["kind"]] += 1
        else:
            made.expected[entry["kind"]] += 1
            lacking = sorted(min(each) for each in wanted if not each & there)
            made.found[entry["kind"]] += not lacking
            made.missed += [(entry["kind"], each) for each in lacking]
    made.invented = sorted(there - explained)
    return made


def _wanted(entry: Mapping[str, Any]) -> list[set[Found]]:
    """Returns what has to be found; of each set one, since a break may have one of some classes."""
    ids, classes = entry.get("ids", {}), entry.get("classes", ())
    broken = ids.get("transfers") or ids.get("settlements", ())
    breaks = [{(_BREAK, each, item) for each in classes} for item in broken if classes]
    return [{each} for each in _findings(entry.get("findings", ()))] + breaks


def _is_break(found: set[Found]) -> bool:
    return all(by == _BREAK for by, _, _ in found)


def read_found(warehouse: Warehouse, breaks_to_ns: int = _ALL_NS) -> list[Found]:
    """Returns what the checks found.

    Args:
        warehouse: The sandbox's.
        breaks_to_ns: Up to when a break counts by the time of its payment: see compared_to_ns.
    """
    rows = warehouse.rows(sql(_FOUND), {"breaks_to": breaks_to_ns})
    if has_own_spans(warehouse):
        rows += warehouse.rows(sql(_FOUND_SPANS))
    return [(str(by), str(name), str(of)) for by, name, of in rows]


def read_to_ns(warehouse: Warehouse, now_ns: int) -> int:
    """Returns up to when a world was read: its clock's time, or that of the last run before it."""
    return min(now_ns, int(warehouse.scalar(_READ_TO) or 0) - _RUN_NS)


def compared_to_ns(warehouse: Warehouse) -> int:
    """Returns up to when a payment must be a break by now, if it is one."""
    return int(warehouse.scalar(_COMPARED_TO) or 0) - _IN_TIME_NS


def _findings(listed: Sequence[Mapping[str, str]]) -> set[Found]:
    return {(each["by"], each["name"], each["reference"]) for each in listed}
