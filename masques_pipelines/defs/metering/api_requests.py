"""The asset masques/api_requests: what passed the 402 gate or did not, from the landing zone.

Here: the asset and its checks.
Not here: how files are found and loaded (intake/).
A re-run loads files that no run has loaded yet; rows that are there already are passed over.
"""

import dagster as dg

from masques_pipelines.defs import intake_checks
from masques_pipelines.defs.failures import RETRY_POLICY
from masques_pipelines.defs.intake_results import loaded_table
from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.table_metadata import OWNERS, static_metadata
from masques_pipelines.intake.tables import TABLES

_TABLE = TABLES["api_requests"]


@dg.asset(
    key=["masques", "api_requests"],
    deps=[SCHEMA_MIGRATIONS],
    group_name="metering",
    kinds={"clickhouse", "file"},
    owners=OWNERS,
    metadata=static_metadata("masques.api_requests"),
    retry_policy=RETRY_POLICY,
)
def api_requests(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """Requests at the 402 gate: let through, challenged or refused, with their metering."""
    return loaded_table(context, warehouse, _TABLE)


rows_accounted_for = intake_checks.rows_accounted_for(_TABLE)
keys_unique = intake_checks.keys_unique(_TABLE)
bad_rows_within_limit = intake_checks.bad_rows_within_limit(_TABLE)
