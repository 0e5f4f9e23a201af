"""What can be said of each table: its rows, its content, its files, and what was not looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from masques_pipelines.inventory.compare import (
    FINDINGS_MAX,
    Comparison,
    compare_bytes,
    compare_content,
    compare_rows,
    lost_parts,
    mutations,
)
from masques_pipelines.inventory.tables import TABLES, VERSIONS, Table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

Outcome = Literal["holds", "fails", "nothing"]
# Whose files are read: the eight tables, and what their proofs rest on.
FILES_OF: Final = (
    *("masques.identities", "masques.masque_sessions", "masques.accounts", "masques.transactions"),
    *("masques.settlements", "masques.api_requests", "masques.reputation_events"),
    *("masques.reputation_scores", "masques_ops.identity_versions", "masques_ops.ledger_seals"),
    *("masques_ops.inventory", "masques_ops.quarantine", "masques_ops.payments_log"),
    *("masques_ops.break_notes", "masques_ops.positions"),
)
_RECOMPUTE: Final = "masques reputation recompute"


@dataclass(frozen=True)
class TableProof:
    """What a comparison says of one table.

    Attributes:
        table: The table of `masques`, or what else was looked at.
        outcome: "nothing" when there is nothing yet to compare.
        summary: One line.
        findings: One line for each day, row or part that is not as it was written.
        advice: What restores it.
    """

    table: str
    outcome: Outcome
    summary: str
    findings: tuple[str, ...] = ()
    advice: str = ""


def prove_tables(warehouse: Warehouse, *, everything: bool = False) -> Iterator[TableProof]:
    """Yields what is proved of each table that no proof of the ledger covers.

    Args:
        warehouse: Where the tables are.
        everything: Read the content of every day and the files of every partition as well.
    """
    for table in TABLES:
        yield prove_rows(warehouse, table)
        if everything:
            yield prove_content(warehouse, table, everything=True)
    if everything:
        yield prove_scores(warehouse)
        yield prove_files(warehouse, everything=True)
    yield prove_parts(warehouse)
    yield prove_nothing_changed(warehouse)


def prove_rows(warehouse: Warehouse, table: Table) -> TableProof:
    """Compares the rows of each day with those that were written."""
    found = compare_rows(warehouse, table)
    findings = [*found.findings]
    if table is VERSIONS and not found.is_empty:
        written, there = warehouse.row(sql("inventory/identities_total"))
        if written != there:
            findings.append(f"{written:,} identities have versions and {there:,} are there")
    what = "versions" if table is VERSIONS else "rows"
    text = f"{found.rows:,} {what} of {_days(table, found)}, as written"
    return _proof(table, found, tuple(findings), text)


def prove_content(
    warehouse: Warehouse, table: Table, *, everything: bool = False, prefix: str = ""
) -> TableProof:
    """Compares the content of the days that are due with what was written."""
    found = compare_content(warehouse, table, everything=everything, prefix=prefix)
    findings = list(found.findings)
    if table is VERSIONS and not found.is_empty:
        findings += _lines(warehouse, "identities_differ", {})
    left = f"; {found.not_read:,} more are not read today" if found.not_read else ""
    return _proof(
        table, found, tuple(findings), f"content of {_days(table, found)}, as written{left}"
    )


def prove_scores(warehouse: Warehouse) -> TableProof:
    """Compares the scores with what their query gives for the moment that they are of."""
    rows, as_of = warehouse.row(sql("inventory/scores_computed_at"))
    if not rows:
        return TableProof("reputation_scores", "nothing", "no score was computed yet")
    findings = tuple(_lines(warehouse, "scores_differ", {"as_of": as_of}))
    return TableProof(
        "reputation_scores",
        "fails" if findings else "holds",
        f"{rows:,} scores, as their query gives them for {as_of}",
        findings,
        _RECOMPUTE,
    )


def prove_files(
    warehouse: Warehouse, *, everything: bool = False, names: Sequence[str] = FILES_OF
) -> TableProof:
    """Reads the files of the partitions that are due, by their checksums."""
    found = [compare_bytes(warehouse, name, everything=everything) for name in names]
    findings = tuple(f"{each.name}: {line}" for each in found for line in each.findings)
    left = sum(each.not_read for each in found)
    return TableProof(
        "files",
        "fails" if findings else "holds",
        f"{sum(each.buckets for each in found):,} partitions read by their checksums"
        + (f"; {left:,} more are not read today" if left else ""),
        findings,
        "masques ledger rebuild --month for transactions, masques intake reload for the gate's "
        "tables, or a backup",
    )


def prove_parts(warehouse: Warehouse) -> TableProof:
    """Looks for parts that no query reads."""
    return _none_of(
        "parts",
        lost_parts(warehouse),
        "parts are not read",
        "every part is read",
        "attach the part again if it was detached by hand; if it is broken, restore the table by "
        "its command (docs/clickhouse.md), then drop the detached part",
    )


def prove_nothing_changed(warehouse: Warehouse) -> TableProof:
    """Looks for statements that changed or deleted rows."""
    return _none_of(
        "mutations",
        mutations(warehouse),
        "statements changed or deleted rows",
        "no row was changed",
        "find who ran it; restore the table by its command (docs/clickhouse.md)",
    )


def _none_of(what: str, found: list[str], bad: str, good: str, advice: str) -> TableProof:
    """Returns the proof that something was looked for and not found."""
    return TableProof(
        what,
        "fails" if found else "holds",
        f"{len(found):,} {bad}" if found else good,
        tuple(found[:FINDINGS_MAX]),
        advice,
    )


def _proof(table: Table, found: Comparison, findings: tuple[str, ...], text: str) -> TableProof:
    if found.is_empty:
        return TableProof(table.asset, "nothing", "nothing was written yet")
    return TableProof(
        table.asset,
        "fails" if findings else "holds",
        text if not findings else f"{len(findings):,} findings in {_days(table, found)}",
        findings[:FINDINGS_MAX],
        table.restored_by,
    )


def _days(table: Table, found: Comparison) -> str:
    what = "day" if table.kept_years else "bucket"
    return f"{found.buckets:,} {what}{'' if found.buckets == 1 else 's'}"


def _lines(warehouse: Warehouse, query: str, parameters: dict[str, str]) -> list[str]:
    rows = warehouse.rows(sql(f"inventory/{query}"), {**parameters, "most": FINDINGS_MAX})
    return [f"{name} {finding}" for name, finding in rows]
