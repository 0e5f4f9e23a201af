"""The assets of breaks and of the position, their checks, and the job that writes a note."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

import dagster as dg

from masques_pipelines.defs.cadence import RECONCILIATION
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.reconciliation.payments_log import KEY as PAYMENTS_LOG
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import OWNERS, records_metadata, table_asset, table_key
from masques_pipelines.errors import PermanentError
from masques_pipelines.reconciliation import checks
from masques_pipelines.reconciliation.breaks import STATES, open_breaks, write_note

MARTS: Final = "masques_marts"
BREAKS: Final = table_key("breaks", MARTS)
POSITION: Final = table_key("position", MARTS)
_CHECKED: Final = {
    **dict.fromkeys(checks.CLASSES, BREAKS),
    checks.IN_TIME: BREAKS,
    checks.ALL_READ: PAYMENTS_LOG,
    checks.LOG_AGREES: PAYMENTS_LOG,
    checks.MONEY_IS_THERE: POSITION,
}
_OF_CLASS: Final = (
    "No break of this class is open without a note, or no more and no older ones, and no more "
    "money at risk, than MASQUES_BREAK_LIMITS allows. A warning, unless "
    "masques_marts.break_classes calls the class critical."
)
_DESCRIPTIONS: Final = {
    **dict.fromkeys(checks.CLASSES, _OF_CLASS),
    checks.IN_TIME: "No break is open for longer than its class allows, noted or not. A warning.",
    checks.ALL_READ: (
        f"Every side was read to within {checks.UNREAD_MOST_S // 3600} hours of the ledger. A "
        "warning: what is unread makes no break, so breaks may be missing."
    ),
    checks.LOG_AGREES: (
        "The daily comparison of everything found nothing that the runs before it had not written, "
        "and the log is what the last run left. A warning: it is made good by then. When it is "
        "inconclusive, it says so."
    ),
    checks.MONEY_IS_THERE: (
        "No money moved on a rail without a settlement, no more is owed than is there, and what "
        "the treasury's books and the settlements differ in is explained by payments."
    ),
}
_BAR_MOST: Final = 30
_WORST_MOST: Final = 20


@table_asset(
    "breaks", group="reconciliation", cadence=RECONCILIATION, database=MARTS, deps=[PAYMENTS_LOG]
)
def breaks(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """The open breaks: payments of which gate, ledger and rail say different things."""
    opened = warehouse.open(context)
    classes = checks.breaks_by_class(opened)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(int(each["breaks"]) for each in classes),
            "without_note": sum(int(each["without_note"]) for each in classes),
            "overdue": sum(int(each["overdue"]) for each in classes),
            "by class": records_metadata(classes),
            "by age": dg.MetadataValue.md(_ages(classes)),
            "worst": records_metadata(open_breaks(opened)[:_WORST_MOST]),
        }
    )


@table_asset(
    "position", group="reconciliation", cadence=RECONCILIATION, database=MARTS, deps=[PAYMENTS_LOG]
)
def position(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """Is the money there: per asset what is owed, what the books say, and what the rails hold."""
    rows = checks.position(warehouse.open(context))
    return dg.MaterializeResult(
        metadata={"dagster/row_count": len(rows), "by asset": records_metadata(rows)}
    )


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(name, asset=_CHECKED[name], description=_DESCRIPTIONS[name])
        for name in checks.NAMES
    ]
)
@explained
def payments_checks(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Breaks without a note, breaks past their deadline, unread sides, the log, the position."""
    limits = run_settings().break_limits
    for finding in checks.check_payments(warehouse.open(context), limits):
        yield dg.AssetCheckResult(
            check_name=finding.name,
            asset_key=_CHECKED[finding.name],
            passed=finding.passed,
            severity=(
                dg.AssetCheckSeverity.WARN if finding.is_warning else dg.AssetCheckSeverity.ERROR
            ),
            description=finding.text or None,
            metadata={"findings": len(finding.rows), "first": records_metadata(finding.rows)},
        )


class BreakNote(dg.Config):
    """What somebody says of a break."""

    payment: str
    """Id of the payment, as `masques_marts.breaks` has it."""
    state: str
    """acknowledged, explained or written_off."""
    note: str
    """Why, in words."""
    by: str
    """Who says it."""
    leg: str = ""
    """gate or rail; needed only when both are broken."""


@dg.op(out=dg.Out(dg.Nothing))
@explained
def write_break_note(
    context: dg.OpExecutionContext, config: BreakNote, warehouse: WarehouseResource
) -> None:
    """Appends a note to an open break. It quiets the alert and changes no total."""
    states = {each: each for each in STATES}
    if config.state not in states:
        raise PermanentError(f"state: {config.state!r} is none of {', '.join(STATES)}")
    try:
        payment = UUID(config.payment)
    except ValueError as error:
        raise PermanentError(f"payment: {config.payment!r} is not an id") from error
    leg = write_note(
        warehouse.open(context),
        payment,
        state=states[config.state],
        note=config.note,
        by=config.by,
        leg=config.leg,
    )
    context.log.info("%s %s: %s", payment, leg, config.state)


@dg.job(
    description=(
        "Acknowledges, explains or writes off one break, as `masques breaks ack`, `explain` and "
        "`write-off` do. Its config says which payment, why, and who says it."
    ),
    tags={"owner": OWNERS[0].removeprefix("team:"), "part": "break_note"},
)
def break_note_job() -> None:
    """Writes one note."""
    write_break_note()


def _ages(classes: list[dict[str, object]]) -> str:
    """Returns a plot of the open breaks by age: one bar per class."""
    lines = ["| class | today | this week | older | |", "|---|---|---|---|---|"]
    for each in classes:
        day, week, older = (int(str(each[name])) for name in ("day", "week", "older"))
        bar = "█" * min(_BAR_MOST, older) + "▒" * min(_BAR_MOST, week) + "░" * min(_BAR_MOST, day)
        lines.append(f"| {each['class']} | {day} | {week} | {older} | {bar} |")
    return "\n".join(lines)
