"""Runs the reputation aggregation: model, rates, signals, facts, scores.

Without new rows a run changes nothing but the moment of the scores.
"""

import logging
from dataclasses import dataclass

from masques_pipelines.reputation.facts import Facts, write_facts
from masques_pipelines.reputation.model import load_model, read_model
from masques_pipelines.reputation.rates import RatesLoad, load_rates
from masques_pipelines.reputation.runs import begin_run
from masques_pipelines.reputation.scores import Refresh, refresh_scores
from masques_pipelines.reputation.signals import write_signals
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aggregation:
    """The result of each step."""

    signals: int
    rates: RatesLoad
    facts: Facts
    refresh: Refresh


def aggregate(
    warehouse: Warehouse,
    settings: Settings,
    *,
    full: bool = False,
) -> Aggregation:
    """Computes the scores from everything that is known now.

    Args:
        warehouse: Holds the events and takes the scores.
        settings: They name the model and the landing zone.
        full: Compare all facts, not only those that new rows affect.

    Raises:
        ModelError: The model is not valid.
        LandingUnavailableError, LandingMissingError, SettingError: As load_rates.
        NotRefreshedError, WarehousePermanentError: As refresh_scores.
    """
    model = read_model(settings.reputation_model)
    if load_model(warehouse, model):
        logger.info("reputation model %s is in force from now on", model.version)
    rates = load_rates(warehouse, settings)
    for reason in rates.reasons:
        logger.warning(
            "exchange rate not read: %s: correct the row; the next run reads it again", reason
        )
    run = begin_run(warehouse, full=full)
    signals = write_signals(warehouse, since=run.since) if run.has_news else 0
    facts = write_facts(warehouse, run=run)
    logger.info(
        "%d signals derived; facts written: %d first funders, standing of %d payers, "
        "%d rows of evidence%s",
        signals,
        facts.clusters,
        facts.standings,
        facts.evidence,
        " (everything was compared)" if facts.is_full else "",
    )
    refresh = refresh_scores(warehouse)
    return Aggregation(signals=signals, rates=rates, facts=facts, refresh=refresh)
