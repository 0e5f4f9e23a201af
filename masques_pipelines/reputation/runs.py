"""Says what a run of the reputation has to look at: what came in since the last one, or everything.

New are rows written since the last completed run began. Rows that vanished, and who is who, are not
seen that way, so every FULL_EVERY_S a run compares everything.
"""

from dataclasses import dataclass
from typing import Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Events compared at once: about 0.5 GB of the engine's memory.
PART_ROWS: Final = 500_000
# Only a full run computes the standing of payers, and sees who is one with whom.
FULL_EVERY_S: Final = 86_400
# A row carries the time at which its insert began, and is visible when the insert ends. Embedded,
# no other process writes, and only the milliseconds of the clock matter.
OVERLAP_SERVER_MS: Final = 15 * 60 * 1000
OVERLAP_EMBEDDED_MS: Final = 10
_BEGINNING: Final = "1970-01-01 00:00:00"
# Sent twice it makes two rows, which mean the same as one.
_RECORD: Final = """
INSERT INTO masques_ops.reputation_runs (began_at, is_full, model_version)
SELECT {began_at:DateTime64(6, 'UTC')}, {is_full:UInt8}, {model_version:String}
"""


@dataclass(frozen=True)
class Run:
    """A run; times are texts in the format of the engine, in UTC.

    Attributes:
        began_at: When it began.
        since: Rows written from here on are new to it.
        is_full: It looks at everything.
        has_news: Whether anything is new that evidence may follow from.
        oldest: Events before this count at no moment.
        model_version: The model in force.
        trace_hops: Over how many payments the money of trusted payers is followed.
    """

    began_at: str
    since: str
    is_full: bool
    has_news: bool
    oldest: str
    model_version: str
    trace_hops: int


def begin_run(warehouse: Warehouse, *, full: bool = False) -> Run:
    """Reads what a run that begins now has to look at."""
    overlap_ms = OVERLAP_SERVER_MS if warehouse.is_server else OVERLAP_EMBEDDED_MS
    began_at, since, is_due, oldest, version, trace_hops = warehouse.row(
        sql("reputation/runs"), {"overlap_ms": overlap_ms, "full_every_s": FULL_EVERY_S}
    )
    is_full = full or bool(is_due)
    news = 0
    if not is_full:
        news, events = warehouse.row(sql("reputation/news"), {"since": since})
        # New events are looked at in one piece, everything in parts.
        is_full = int(events) > PART_ROWS
    return Run(
        began_at=str(began_at),
        since=_BEGINNING if is_full else str(since),
        is_full=is_full,
        has_news=is_full or int(news) > 0,
        oldest=str(oldest),
        model_version=str(version),
        trace_hops=int(trace_hops),
    )


def end_run(warehouse: Warehouse, run: Run) -> None:
    """Writes down that a run came to its end."""
    warehouse.command(
        _RECORD,
        {
            "began_at": run.began_at,
            "is_full": int(run.is_full),
            "model_version": run.model_version,
        },
    )
