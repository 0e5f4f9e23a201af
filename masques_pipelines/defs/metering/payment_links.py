"""The asset masques_ops/payment_links and its checks."""

from masques_pipelines.defs.intake_asset import intake_asset
from masques_pipelines.intake.tables import TABLES

payment_links, rows_accounted_for, keys_unique, bad_rows_within_limit = intake_asset(
    TABLES["payment_links"],
    group="metering",
    description="Which ledger transfer refunds which: the ledger itself cannot say.",
)
