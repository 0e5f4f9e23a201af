"""The asset masques/reputation_scores: every identity's score, computed anew and swapped in whole.

Here: the asset, its checks and what it shows.
Not here: the steps (reputation/aggregation.py) and the computation (sql/014_evidence.sql).
A re-run computes everything again; a failed one leaves the scores as they were.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.failures import RETRY_POLICY, explained_failures
from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_metadata import OWNERS, static_metadata, table_metadata
from masques_pipelines.reputation import checks
from masques_pipelines.reputation.aggregation import Aggregation, aggregate
from masques_pipelines.reputation.scores import distribution, movers

TABLE: Final = "masques.reputation_scores"
KEY: Final = dg.AssetKey(["masques", "reputation_scores"])


@dg.asset(
    key=KEY,
    deps=[
        SCHEMA_MIGRATIONS,
        dg.AssetKey(["masques", "identities"]),
        dg.AssetKey(["masques", "masque_sessions"]),
        dg.AssetKey(["masques", "api_requests"]),
        dg.AssetKey(["masques", "reputation_events"]),
        dg.AssetKey(["masques", "transactions"]),
        dg.AssetKey(["masques", "settlements"]),
    ],
    group_name="reputation",
    kinds={"clickhouse", "sql"},
    owners=OWNERS,
    metadata=static_metadata(TABLE),
    retry_policy=RETRY_POLICY,
)
def reputation_scores(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """One score per identity, 0 to 1: of tasks, economy and hygiene; rank by score_lower."""
    with explained_failures(context):
        opened = warehouse.open(context)
        done = aggregate(opened, run_settings())
        shown = {
            "distribution": dg.MetadataValue.md(distribution(opened)),
            "largest movers in a week": _table(movers(opened)),
        }
    context.log.info("%d identities scored", done.refresh.identities)
    return dg.MaterializeResult(metadata={**_metadata(done), **shown})


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec(f"reputation_scores__{name}", asset=KEY) for name in checks.NAMES]
)
def reputation_scores_checks(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Scores in range, shares, no future events, every identity scored and known, no jumps."""
    with explained_failures(context):
        findings = checks.check_scores(warehouse.open(context))
    for finding in findings:
        yield _check_result(finding)


def _metadata(done: Aggregation) -> dict[str, Any]:
    refresh = done.refresh
    return {
        **table_metadata(TABLE, rows_written=refresh.identities, rows_total=refresh.identities),
        "watermark_time": dg.MetadataValue.timestamp(refresh.computed_at.timestamp()),
        "identities_with_evidence": refresh.with_evidence,
        "events_in_window": refresh.events,
        "excluded_events": refresh.excluded_events,
        "payments_without_rate": refresh.unpriced,
        "signals_derived": done.signals,
        "facts_compared": "everything" if done.facts.is_full else "what is new",
        "references_changed": done.facts.references,
        "evidence_changed": done.facts.evidence,
        "rates_loaded": done.rates.rows_written,
        "bad_rate_rows": done.rates.bad_rows,
        "model_version": refresh.model_version,
        "leftovers_removed": refresh.leftovers,
        "duration_s": round(refresh.duration_s, 3),
    }


def _check_result(finding: checks.Finding) -> dg.AssetCheckResult:
    warns = finding.is_warning
    return dg.AssetCheckResult(
        check_name=f"reputation_scores__{finding.name}",
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata={"findings": len(finding.rows), "first": _table(finding.rows)},
    )


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue | str:
    """Returns rows as a table; Dagster takes no table without columns."""
    if not rows:
        return "none"
    records = [dg.TableRecord({name: _plain(value) for name, value in row.items()}) for row in rows]
    return dg.MetadataValue.table(records)


def _plain(value: object) -> str | int | float:
    return (
        round(value, 6)
        if isinstance(value, float)
        else (value if isinstance(value, int) else str(value))
    )
