"""Runs everything that a pipeline run does, on the stand-ins of a sandbox's folder."""

from pathlib import Path

from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.reputation.rates import load_rates
from masques_pipelines.sandbox.collector import deliver_spans
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import ledger_url, with_stand_ins
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse


def sandbox_settings(home: Path) -> Settings:
    """Settings of the sandbox of a home."""
    return with_stand_ins(read_settings({"MASQUES_HOME": str(home)}))


def run_all(warehouse: Warehouse, settings: Settings) -> int:
    """Reads ledger, landing zone and rails once; returns how many rows were written."""
    stamp_warehouse(warehouse, settings)
    written = deliver_spans(warehouse, settings).rows
    with open_ledger(ledger_url(settings)) as source:
        chart = read_chart(None)
        written += sync_transactions(warehouse, source, chart).rows_written
        written += sync_accounts(warehouse, source, chart).rows_written
    landing = open_landing(settings)
    for table in TABLES.values():
        written += load_table(warehouse, landing, table).total("loaded")
    load_rates(warehouse, settings)
    written += run_rails(warehouse, settings)
    return written + compare_payments(warehouse).rows_written


def run_rails(warehouse: Warehouse, settings: Settings) -> int:
    """Reads the rails once; returns how many rows were written."""
    done = ingest_all(warehouse, settings)
    assert [each.error for each in done.outcomes] == [""] * len(done.outcomes)
    return done.rows_written
