"""Dagster's handles on the warehouse and the ledger.

Resources without any field: settings are read when a run first needs them, since a field would show
in the UI, password and all. Both stay open to the end of the run, or until a retry's pause: opening
an embedded warehouse takes 0.3 s, registering with TigerBeetle 0.6 s.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from pydantic import PrivateAttr

from masques_pipelines.defs.failures import StepContext, step_of
from masques_pipelines.ledger.chart import Chart, read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import (
    ledger_url,
    mode_text,
    prepare_sources,
    with_stand_ins,
)
from masques_pipelines.schema.migrations import check_schema
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse

# Whether a run is the sandbox's, on the run itself.
MODE_TAG: Final = "masques/mode"


def run_settings() -> Settings:
    """Returns the settings of a run or a sensor: of production, or the sandbox's.

    Raises:
        SettingError: As read_settings and with_stand_ins.
    """
    return with_stand_ins(read_settings())


class _RunScoped(dg.ConfigurableResource[Any]):
    """Keeps what it opens until the run ends or it is released."""

    _stack: contextlib.ExitStack | None = PrivateAttr(default=None)

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["_RunScoped"]:
        """Yields itself; what was opened meanwhile is closed with the run."""
        del context
        with contextlib.ExitStack() as stack:
            self._stack = stack
            try:
                yield self
            finally:
                self._stack = None

    def release(self) -> None:
        """Closes what is open; the next use opens it again."""
        if self._stack is not None:
            self._stack.close()

    def _opened(self) -> contextlib.ExitStack:
        if self._stack is None:
            raise RuntimeError("the resource is used outside of a run")
        return self._stack


class WarehouseResource(_RunScoped):
    """The ClickHouse of MASQUES_CLICKHOUSE_URL."""

    _warehouse: Warehouse | None = PrivateAttr(default=None)

    def open(self, context: StepContext, *, needs_schema: bool = True) -> Warehouse:
        """Returns the open warehouse, asking in the name of the step.

        Args:
            context: Of the step.
            needs_schema: False for the step that makes the schema.

        Raises:
            MigrationError: It needs the schema, which is not there or older than sql/: the run
                was started without the asset that makes it.
            SettingError, WarehouseBusyError, WarehouseTransientError, WarehousePermanentError:
                as open_warehouse.
            StampError: The warehouse is the sandbox's and the settings are not, or the reverse.
        """
        step = step_of(context)
        origin = Origin(run_id=step.run.run_id, asset_key=_asset_of(step), job=step.run.job_name)
        if self._warehouse is None:
            stack = self._opened()
            settings = run_settings()
            prepare_sources(settings)
            step.instance.add_run_tags(step.run.run_id, {MODE_TAG: mode_text(settings)})
            opened = stack.enter_context(open_warehouse(settings, origin=origin))
            stamp_warehouse(opened, settings)
            if needs_schema:
                check_schema(opened)
            self._warehouse = opened
            stack.callback(setattr, self, "_warehouse", None)
        return self._warehouse.for_origin(origin)


class LedgerResource(_RunScoped):
    """The ledger of MASQUES_LEDGER_URL and its chart."""

    _source: LedgerSource | None = PrivateAttr(default=None)

    def open(self) -> LedgerSource:
        """Returns the open ledger.

        Raises:
            SettingError, LedgerUnavailableError, LedgerRefusedError: as open_ledger.
        """
        if self._source is None:
            stack = self._opened()
            settings = run_settings()
            prepare_sources(settings)
            self._source = stack.enter_context(open_ledger(ledger_url(settings)))
            stack.callback(setattr, self, "_source", None)
        return self._source

    def chart(self) -> Chart:
        """Returns the chart of the settings.

        Raises:
            SettingError, ChartError: as read_settings and read_chart.
        """
        return read_chart(run_settings().ledger_chart)


def _asset_of(step: dg.OpExecutionContext) -> str:
    """Returns the key of the asset or check that a step makes, '' for a plain op."""
    keys = step.selected_asset_keys if step.has_assets_def else ()
    checks = step.selected_asset_check_keys if step.has_assets_def else ()
    names = [key.to_user_string() for key in keys] or [check.to_user_string() for check in checks]
    return ",".join(sorted(names))
