"""Computes all scores from all facts, and takes what was found wrong with them as put right."""

from typing import Final

from masques_pipelines.inventory.acceptance import accept_restored
from masques_pipelines.inventory.compare import differing
from masques_pipelines.inventory.proofs import prove_scores
from masques_pipelines.inventory.tables import EVENTS
from masques_pipelines.reputation.aggregation import aggregate
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

_BY: Final = "masques reputation recompute"


def recompute(warehouse: Warehouse, settings: Settings) -> tuple[int, tuple[str, ...]]:
    """Returns how many identities were scored, and what is put right."""
    done = aggregate(warehouse, settings, full=True)
    lines = accept_restored(
        warehouse,
        "masques.reputation_scores",
        by=_BY,
        is_restored=lambda: prove_scores(warehouse).outcome == "holds",
    )
    lines += accept_restored(
        warehouse, EVENTS.name, by=_BY, is_restored=lambda: not differing(warehouse, EVENTS)
    )
    return done.refresh.identities, lines
