"""Compares clocks: this machine's with the ledger's, ClickHouse's and those of the rails' blocks.

Deadlines, expiries, freshness and the order of facts go by four clocks. An answer is as old as the
question took: only what differs by more than that is a difference.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from masques_pipelines.doctor.finding import Finding, Level
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# NTP keeps clocks within tenths of a second; from a minute on, deadlines are decided wrongly.
SKEW_WARNING_S: Final = 5.0
SKEW_MAX_S: Final = 60.0
_ADVICE: Final = "set both by NTP: ages, deadlines and expiries are wrong by that much"
_NOW: Final = "SELECT toUnixTimestamp64Milli(now64(3)) / 1000"


def time_s() -> float:
    """Returns this machine's time, in seconds since 1970."""
    return time.time()


def warehouse_clock(warehouse: Warehouse) -> Finding:
    """Compares ClickHouse's clock."""
    return _compared("warehouse clock", lambda: float(warehouse.scalar(_NOW)))


def ledger_clock(source: LedgerSource) -> Finding:
    """Compares the clock of a ledger that runs now; a capture has none."""
    return _compared("ledger clock", lambda: source.change_events(2**63 - 2).ledger_time_ns / 1e9)


def block_clocks(warehouse: Warehouse) -> Iterator[Finding]:
    """Looks for blocks that are later than now; the others may have been read at any time."""
    ours = time_s()
    for place, newest in warehouse.rows(sql("doctor/newest_blocks")):
        yield clock_finding(f"{place} clock", max(float(newest), ours), ours)


def clock_finding(name: str, theirs: float, ours: float) -> Finding:
    """Returns whether somebody's clock agrees with this machine's, both in seconds since 1970."""
    skew_s = theirs - ours
    if abs(skew_s) <= SKEW_WARNING_S:
        return Finding(name, "good", f"its clock differs by {abs(skew_s):.1f} s")
    where = "ahead of" if skew_s > 0 else "behind"
    level: Level = "bad" if abs(skew_s) > SKEW_MAX_S else "warning"
    text = f"its clock is {abs(skew_s):,.1f} s {where} this machine's"
    return Finding(name, level, text, _ADVICE)


def _compared(name: str, ask: Callable[[], float]) -> Finding:
    before_s = time_s()
    theirs = ask()
    return clock_finding(name, theirs, min(max(theirs, before_s), time_s()))
