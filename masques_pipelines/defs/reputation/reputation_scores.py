"""The asset masques/reputation_scores: every identity's score, recomputed and swapped in whole.

A failed run leaves the scores as they were.
"""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.cadence import REPUTATION_AGGREGATION
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.lineage import EXCHANGE_RATES
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import (
    records_metadata,
    row_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.reputation import checks
from masques_pipelines.reputation.aggregation import Aggregation, aggregate
from masques_pipelines.reputation.scores import distribution, movers

KEY: Final = table_key("reputation_scores")
_CONTENT: Final = """\
SELECT concat(count(), ' ', hex(groupBitXor(cityHash64(
    identity_id, overall_score, score_lower, total_events, excluded_events, model_version))))
FROM masques.reputation_scores FINAL
"""
_DESCRIPTIONS: Final = {
    "weights_sum_to_one": "The shares of the three categories in the model add up to 1.",
    "in_range": "Every score and confidence is between 0 and 1.",
    "no_future_events": "No event that counts lies in the future; a producer's clock may be wrong.",
    "all_identities_scored": "Every known identity has a score.",
    "identities_known": (
        "Every identity that is scored is in masques.identities. A warning: its record may not "
        "have been delivered yet."
    ),
    "moves_within_limit": (
        f"No score moved by more than {checks.MOVE_MAX} since yesterday. A warning: see why with "
        "`masques reputation explain`."
    ),
}


@table_asset(
    "reputation_scores",
    group="reputation",
    cadence=REPUTATION_AGGREGATION,
    deps=[
        table_key("identities"),
        table_key("masque_sessions"),
        table_key("api_requests"),
        table_key("reputation_events"),
        table_key("transactions"),
        table_key("settlements"),
        EXCHANGE_RATES,
    ],
)
def reputation_scores(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """One score per identity, 0 to 1: of tasks, economy and hygiene; rank by score_lower.

    Filled by the refreshable view masques.reputation_scores_mv, which this asset starts.
    """
    opened = warehouse.open(context)
    done = aggregate(opened, run_settings())
    context.log.info("%d identities scored", done.refresh.identities)
    return dg.MaterializeResult(
        metadata={
            **_metadata(done),
            "distribution": dg.MetadataValue.md(distribution(opened)),
            "largest movers in a week": records_metadata(movers(opened)),
        },
        data_version=dg.DataVersion(str(opened.scalar(_CONTENT))),
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=KEY, description=_DESCRIPTIONS[name]) for name in checks.NAMES
    ]
)
@explained
def reputation_scores_checks(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Scores in range, shares, no future events, every identity scored and known, no jumps."""
    for finding in checks.check_scores(warehouse.open(context)):
        yield _check_result(finding)


def _metadata(done: Aggregation) -> dict[str, Any]:
    refresh = done.refresh
    return {
        **row_metadata(rows_written=refresh.identities, rows_total=refresh.identities),
        "watermark_time": dg.MetadataValue.timestamp(refresh.computed_at.timestamp()),
        "identities_with_evidence": refresh.with_evidence,
        "events_in_window": refresh.events,
        "excluded_events": refresh.excluded_events,
        "payments_without_rate": refresh.unpriced,
        "signals_derived": done.signals,
        "facts_compared": "everything" if done.facts.is_full else "what is new",
        "standings_changed": done.facts.standings,
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
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR,
        metadata={"findings": len(finding.rows), "first": records_metadata(finding.rows)},
    )
