"""The asset masques/api_requests and its checks."""

from masques_pipelines.defs.intake_asset import intake_asset
from masques_pipelines.intake.tables import TABLES

api_requests, rows_accounted_for, keys_unique, bad_rows_within_limit = intake_asset(
    TABLES["api_requests"],
    group="metering",
    description="Requests at the 402 gate: passed, challenged or refused, with their metering.",
)
