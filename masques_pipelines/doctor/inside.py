"""Looks into the warehouse: its version, clock, schema, rights, parts, growth and lags."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from masques_pipelines.ages import duration
from masques_pipelines.doctor.around import guarded
from masques_pipelines.doctor.clocks import block_clocks, warehouse_clock
from masques_pipelines.doctor.finding import Finding
from masques_pipelines.inventory.proofs import TableProof, prove_nothing_changed, prove_parts
from masques_pipelines.schema.migrations import make_plan
from masques_pipelines.verification.passes import read_passes
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql, sql_directory

_WRITER: Final = re.compile(r"^GRANT (.+) TO masques_writer;$", re.MULTILINE)
# A run every five to fifteen minutes, an hour for scores; six intervals are too many.
LAG_MAX_S: Final = {"ledger": 1_800, "rail": 3_600, "scores": 6 * 3_600}
# Its files, behind the ledger: a gate that is quiet books nothing either.
_REQUESTS: Final = "gate api_requests"
GATE_MAX_S: Final = 2 * 3_600
_LEDGER_ENDS_S: Final = """
SELECT toUnixTimestamp(now()) - toUnixTimestamp(max(timestamp)) FROM masques.transactions"""
_LARGEST: Final = 3
# Time for a larger disk.
DAYS_MIN: Final = 30


def look_inside(warehouse: Warehouse, *, free_bytes: int | None = None) -> Iterator[Finding]:
    """Yields findings about a warehouse; what needs the schema only where it is there.

    Args:
        warehouse: In any state.
        free_bytes: Of its disk, where that is known.
    """
    version = warehouse.scalar("SELECT version()")
    yield Finding("warehouse", "good", f"{warehouse.description}, engine {version}")
    yield warehouse_clock(warehouse)
    plan = make_plan(warehouse)
    if not plan.is_clean:
        due = [file.name for file in plan.due]
        problems = [*plan.refusals, *plan.drift, *(f"{name} is due" for name in due)]
        advice = "masques migrate --plan shows all of it; masques migrate brings it up to date"
        yield Finding("schema", "bad", "; ".join(problems[:_LARGEST]), advice)
        return
    yield Finding("schema", "good", "as the files of sql/ make it")
    looks: tuple[tuple[str, Callable[[Warehouse], Iterator[Finding]]], ...] = (
        ("clocks", block_clocks),
        ("rights", _rights),
        ("parts", lambda opened: _proved("parts", prove_parts(opened))),
        ("statements", lambda opened: _proved("statements", prove_nothing_changed(opened))),
        ("whole pass", _passes),
        ("lag", _lags),
        ("quarantine", _stuck),
        ("growth", lambda opened: _sizes(opened, free_bytes)),
    )
    for name, each in looks:
        yield from guarded(name, lambda each=each: each(warehouse))  # type: ignore[misc]


def _rights(warehouse: Warehouse) -> Iterator[Finding]:
    """Asks for each right of the writer of sql/roles.sql."""
    text = (sql_directory() / "roles.sql").read_text(encoding="utf-8")
    missing = [
        right
        for right in _WRITER.findall(text)
        if "`" not in right and not warehouse.scalar(f"CHECK GRANT {right}")
    ]
    if missing:
        shown = "; ".join(missing[:_LARGEST])
        yield Finding("rights", "bad", f"missing: {shown}", "run sql/roles.sql, grant its role")
    else:
        yield Finding("rights", "good", "all that runs need")


def _proved(name: str, proof: TableProof) -> Iterator[Finding]:
    if proof.outcome == "fails":
        yield Finding(name, "bad", "; ".join((proof.summary, *proof.findings)), proof.advice)
    else:
        yield Finding(name, "good", proof.summary)


def _passes(warehouse: Warehouse) -> Iterator[Finding]:
    passes = read_passes(warehouse)
    failed = [one for one in (passes.running, passes.complete) if one is not None and one.failed]
    if failed:
        yield Finding("whole pass", "bad", passes.text, "masques runbook everything_is_proved")
    elif passes.is_overdue:
        yield Finding("whole pass", "warning", passes.text, "masques verify --full")
    else:
        yield Finding("whole pass", "good", passes.text)


def read_lags(warehouse: Warehouse) -> dict[str, float | None]:
    """Returns by source how many seconds ago it was read; None when it never was."""
    return {
        str(source): None if lag_s is None else float(lag_s)
        for source, lag_s in warehouse.rows(sql("doctor/lags"))
    }


def _lags(warehouse: Warehouse) -> Iterator[Finding]:
    lags = read_lags(warehouse)
    ledger_ends_s = warehouse.scalar(_LEDGER_ENDS_S)
    for source, lag_s in lags.items():
        kind = source.split(" ", 1)[0]
        limit_s = LAG_MAX_S.get(kind)
        if lag_s is None:
            yield Finding(f"lag {source}", "off", "nothing was read yet")
        elif source == _REQUESTS and lag_s - ledger_ends_s > GATE_MAX_S:
            text = f"its files end {duration(lag_s - ledger_ends_s)} before the ledger"
            advice = "see who delivers them: masques intake load shows what is there"
            yield Finding(f"lag {source}", "bad", text, advice)
        elif limit_s is not None and lag_s > limit_s:
            advice = "see whether its schedule is on and its runs succeed"
            yield Finding(f"lag {source}", "warning", f"{duration(lag_s)} behind", advice)
        else:
            yield Finding(f"lag {source}", "good", f"{duration(lag_s)} behind")


def read_stuck(warehouse: Warehouse) -> dict[str, int]:
    """Returns counts: payments_open, holds_open, holds_overdue, quarantined."""
    (found,) = warehouse.records(sql("doctor/stuck"))
    return {name: int(count) for name, count in found.items()}


def _stuck(warehouse: Warehouse) -> Iterator[Finding]:
    count = read_stuck(warehouse)["quarantined"]
    if count:
        advice = "masques intake quarantine show"
        yield Finding("quarantine", "warning", f"{count:,} rows wait for a decision", advice)
    else:
        yield Finding("quarantine", "good", "empty")


def read_sizes(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Returns rows and bytes by table, the largest first."""
    found = warehouse.rows(sql("doctor/sizes"))
    return {str(table): (int(rows), int(size)) for table, rows, size in found}


def _sizes(warehouse: Warehouse, free_bytes: int | None) -> Iterator[Finding]:
    sizes = read_sizes(warehouse)
    total = sum(size for _, size in sizes.values())
    largest = [
        f"{table} {size / 10**6:,.1f} MB" for table, (_, size) in list(sizes.items())[:_LARGEST]
    ]
    daily = int(warehouse.scalar(sql("doctor/growth")))
    text = f"{total / 10**6:,.1f} MB; {', '.join(largest)}; {daily / 10**6:,.1f} MB a day lately"
    if free_bytes is not None and free_bytes < DAYS_MIN * daily:
        advice = f"the disk is full in {free_bytes // daily} days: make room, or shorten retention"
        yield Finding("growth", "warning", text, advice)
    else:
        yield Finding("growth", "good", text)
