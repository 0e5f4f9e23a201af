"""The asset masques_ops/payments_log: what is said of each payment, and its checks."""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from masques_pipelines.defs.cadence import RECONCILIATION
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.table_asset import (
    records_metadata,
    row_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.reconciliation import checks
from masques_pipelines.reconciliation.payments import compare_payments

KEY: Final = table_key("payments_log", "masques_ops")
_CONTENT: Final = """\
SELECT concat(sum(sign), ' ', hex(sum(sign * cityHash64(content)))) FROM masques_ops.payments_log
"""
_TOTALS: Final = "SELECT count(), sum(sign) FROM masques_ops.payments_log"
_DESCRIPTIONS: Final = {
    checks.NO_CRITICAL: (
        "No money is missing, unbooked or paid twice, but for breaks that somebody looks after. "
        "See `masques breaks list`."
    ),
    checks.NO_OTHER: "Gate, ledger and rails say the same of every payment. A warning.",
    checks.IN_TIME: "No break is open for longer than its class allows, noted or not. A warning.",
    checks.ALL_READ: (
        f"Every side was read to within {checks.UNREAD_MOST_S // 3600} hours of the ledger. A "
        "warning: what is unread makes no break, so breaks may be missing."
    ),
    checks.MONEY_IS_THERE: (
        "Treasury, settlements and the balances of the rails agree for each asset, and no more is "
        "owed than is there."
    ),
}
_BAR_MOST: Final = 30


@table_asset(
    "payments_log",
    group="reconciliation",
    cadence=RECONCILIATION,
    database="masques_ops",
    deps=[
        table_key("transactions"),
        table_key("accounts"),
        table_key("api_requests"),
        table_key("masque_sessions"),
        table_key("payment_links", "masques_ops"),
        table_key("settlements"),
    ],
)
def payments_log(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """What is said of each payment: gate, ledger and rail compared, as far as each was read."""
    opened = warehouse.open(context)
    done = compare_payments(opened)
    rows, payments = opened.row(_TOTALS)
    classes = checks.breaks_by_class(opened)
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=int(rows)),
            "payments": int(payments),
            "compared": "everything" if done.is_full else "what is new",
            "open_breaks": sum(int(each["breaks"]) for each in classes),
            "breaks by class": records_metadata(classes),
            "breaks by age": dg.MetadataValue.md(_ages(classes)),
            "position": records_metadata(checks.position(opened)),
        },
        data_version=dg.DataVersion(str(opened.scalar(_CONTENT))),
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=KEY, description=_DESCRIPTIONS[name]) for name in checks.NAMES
    ]
)
@explained
def payments_checks(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Breaks without a note, breaks past their deadline, unread sides, and the position."""
    for finding in checks.check_payments(warehouse.open(context)):
        yield dg.AssetCheckResult(
            check_name=finding.name,
            passed=finding.passed,
            severity=(
                dg.AssetCheckSeverity.WARN if finding.is_warning else dg.AssetCheckSeverity.ERROR
            ),
            metadata={"findings": len(finding.rows), "first": records_metadata(finding.rows)},
        )


def _ages(classes: list[dict[str, object]]) -> str:
    """Returns a plot of the open breaks by age: one bar per class."""
    lines = ["| class | today | this week | older | |", "|---|---|---|---|---|"]
    for each in classes:
        day, week, older = (int(str(each[name])) for name in ("day", "week", "older"))
        bar = "█" * min(_BAR_MOST, older) + "▒" * min(_BAR_MOST, week) + "░" * min(_BAR_MOST, day)
        lines.append(f"| {each['class']} | {day} | {week} | {older} | {bar} |")
    return "\n".join(lines)
