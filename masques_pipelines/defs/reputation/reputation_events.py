"""The asset masques/reputation_events and its checks."""

from masques_pipelines.defs.intake_asset import intake_asset
from masques_pipelines.intake.tables import TABLES

reputation_events, rows_accounted_for, keys_unique, bad_rows_within_limit = intake_asset(
    TABLES["reputation_events"],
    group="reputation",
    description="Signals of trust about identities, one row per event.",
)
