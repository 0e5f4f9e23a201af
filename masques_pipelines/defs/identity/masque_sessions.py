"""The asset masques/masque_sessions and its checks."""

from masques_pipelines.defs.intake_asset import intake_asset
from masques_pipelines.intake.tables import TABLES

masque_sessions, rows_accounted_for, keys_unique, bad_rows_within_limit = intake_asset(
    TABLES["masque_sessions"],
    group="identity",
    description="Reports of sessions, don and doff apart: read masques_marts.sessions_current.",
)
