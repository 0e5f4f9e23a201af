"""The code location: everything in `defs/` comes together here.

Importing this module reads nothing. Dagster calls `defs` when it loads the location; that reads
`sql/`, which columns and views are taken from, and nothing else.
"""

import functools

import dagster as dg

from masques_pipelines import defs as package
from masques_pipelines.defs import jobs, lineage, sensors
from masques_pipelines.defs.executor import interruptible_executor
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.run_log import show_failures_in_lines
from masques_pipelines.defs.runbook import with_runbook
from masques_pipelines.defs.table_asset import with_declared_columns
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files


@dg.definitions
def defs() -> dg.Definitions:
    """Returns the definitions of the code location, and lets its runs fail in one line."""
    # Each process that makes a run loads this first: a terminal's, the daemon's and the UI's.
    show_failures_in_lines()
    return _definitions()


# Dagster loads a location up to six times for one command, 0.4 s of a core each.
@functools.cache
def _definitions() -> dg.Definitions:
    declared = declared_schema()
    tables = [
        each.map_asset_specs(lambda spec: with_declared_columns(spec, declared))
        for each in dg.load_assets_from_package_module(package)
        if isinstance(each, dg.AssetsDefinition)
    ]
    views = [with_declared_columns(spec, declared) for spec in lineage.marts(declared, sql_files())]
    return dg.Definitions(
        assets=[*lineage.sources(), *tables, *views],
        asset_checks=[
            with_runbook(each) for each in dg.load_asset_checks_from_package_module(package)
        ],
        jobs=jobs.JOBS,
        schedules=jobs.SCHEDULES,
        sensors=sensors.SENSORS,
        resources={"warehouse": WarehouseResource(), "ledger": LedgerResource()},
        executor=interruptible_executor,
    )
