"""The check that the clocks agree: this machine's, the ledger's, ClickHouse's and the blocks'."""

from collections.abc import Iterator

import dagster as dg

from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import table_key
from masques_pipelines.doctor import clocks
from masques_pipelines.doctor.finding import Finding
from masques_pipelines.ledger.connect import is_live
from masques_pipelines.warehouse.client import Warehouse


@dg.asset_check(
    asset=table_key("transactions"),
    description=(
        "The clocks of this machine, of the ledger and of ClickHouse differ by at most "
        f"{clocks.SKEW_WARNING_S:.0f} s, and no block that was read is of a later time. From "
        f"{clocks.SKEW_MAX_S:.0f} s on it is an error: deadlines are decided by these clocks."
    ),
)
@explained
def clocks_agree(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.AssetCheckResult:
    """Compares the clocks that deadlines, ages and expiries go by."""
    found = list(_findings(warehouse.open(context), ledger))
    wrong = [each for each in found if each.level != "good"]
    is_error = any(each.level == "bad" for each in wrong)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{each.name}: {each.text}" for each in wrong) or None,
        metadata={each.name: each.text for each in found},
    )


def _findings(warehouse: Warehouse, ledger: LedgerResource) -> Iterator[Finding]:
    yield clocks.warehouse_clock(warehouse)
    if is_live(run_settings().ledger_url):
        yield clocks.ledger_clock(ledger.open())
    yield from clocks.block_clocks(warehouse)
