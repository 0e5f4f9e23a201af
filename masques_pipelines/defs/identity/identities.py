"""The asset masques/identities and its checks."""

from masques_pipelines.defs.intake_asset import intake_asset
from masques_pipelines.intake.tables import TABLES

identities, rows_accounted_for, keys_unique, bad_rows_within_limit = intake_asset(
    TABLES["identities"],
    group="identity",
    description="Agents, users and services, one row per version: read identities_current.",
)
