"""Completeness: the table holds every event that the source sent, once, and is up to date.

Here: counts and sums against the seals of what the source sent, accounts against their reading,
numbers that the chart does not know, and how old the newest sync is.
Not here: the content of single rows (chain.py).
A re-run proves anew.
"""

from typing import Final

from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.result import Money, Proof
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "every event that the ledger sent is there once"
FRESH_NAME: Final = "the copy is up to date"
CHART_NAME: Final = "the chart knows every number"
# The schedule syncs every 5 minutes; a long back-fill is one sync.
SYNC_AGE_MAX_S: Final = 3600
LAG_MAX_S: Final = 60.0


def prove_completeness(warehouse: Warehouse, *, from_beginning: bool = False) -> Proof:
    """Compares counts and sums with what the source sent, and accounts with their reading."""
    position = read_position(warehouse, from_beginning=from_beginning)
    base_ns = max(position.base_ns, position.removed_ns)
    sent, there, times = warehouse.row(sql("ledger/proofs/sealed_counts"), {"base_ns": base_ns})
    findings = []
    if not sent == there == times:
        findings.append(f"{sent:,} events were sent, {there:,} rows with {times:,} times are there")
    money = Money(warehouse)
    for ledger, *sums in warehouse.rows(sql("ledger/proofs/sealed_sums"), {"base_ns": base_ns}):
        for kind, was_sent, is_there in (("posted", *sums[:2]), ("held", *sums[2:])):
            if was_sent != is_there:
                findings.append(
                    f"ledger {ledger}: {money.text(ledger, was_sent)} {kind} were sent, "
                    f"{money.text(ledger, is_there)} are there (difference "
                    f"{money.text(ledger, is_there - was_sent)})"
                )
    counted, known = warehouse.row(sql("ledger/proofs/accounts_read"))
    if counted != known:
        findings.append(f"{counted:,} accounts were read, {known:,} are there")
    numbers = {"events": int(there), "accounts": int(known), "from_ns": base_ns}
    if findings:
        return Proof(NAME, "fails", f"{len(findings)} differences", tuple(findings), numbers)
    return Proof(
        NAME, "holds", f"{there:,} events since the checkpoint, {known:,} accounts", (), numbers
    )


def find_staleness(warehouse: Warehouse) -> Proof:
    """Says how far the newest sync came; a warning when it is old or ended far behind."""
    rows = warehouse.records(sql("ledger/proofs/newest_sync"))
    if not rows:
        return Proof(
            FRESH_NAME, "inconclusive", "nothing was synced yet: run the sync", is_warning=True
        )
    found = rows[0]
    lag_s, age_s = float(found["lag_s"]), int(found["age_s"])
    numbers = {"watermark_ns": int(found["watermark_ns"]), "lag_s": round(lag_s, 3)}
    findings = []
    if age_s > SYNC_AGE_MAX_S:
        findings.append(f"the newest sync ended {age_s:,} s ago: is the schedule running?")
    # A capture does not grow: how far behind the clock it is says nothing.
    if lag_s > LAG_MAX_S and str(found["source"]).startswith("tigerbeetle://"):
        findings.append(f"the newest sync ended {lag_s:,.0f} s behind the clock")
    if findings:
        return Proof(FRESH_NAME, "fails", findings[0], tuple(findings), numbers, is_warning=True)
    return Proof(FRESH_NAME, "holds", f"synced {age_s:,} s ago", numbers=numbers, is_warning=True)


def find_unknown_numbers(warehouse: Warehouse) -> Proof:
    """Looks for ledgers and codes that the chart does not know, or learned after the rows."""
    rows = warehouse.rows(sql("ledger/proofs/chart_findings"))
    if not rows:
        return Proof(CHART_NAME, "holds", "ledgers, codes and resource types", is_warning=True)
    findings = tuple(
        f"{table}: {count:,} rows are older than the chart's entry for {name}: run `masques ledger "
        "rebuild`"
        if is_known_now
        else f"{table}: {count:,} rows with {name}, which is not in the chart: add it"
        for table, name, is_known_now, count in rows
    )
    return Proof(CHART_NAME, "fails", findings[0], findings, is_warning=True)
