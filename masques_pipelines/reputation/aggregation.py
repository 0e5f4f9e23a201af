"""The whole reputation aggregation, in its order.

Here: model, rates, signals, facts, scores, one after the other.
Not here: any of them.
A re-run changes nothing but the moment of the scores when nothing came in since.
"""

from collections.abc import Callable
from dataclasses import dataclass

from masques_pipelines.reputation.facts import Facts, write_facts
from masques_pipelines.reputation.model import load_model, read_model
from masques_pipelines.reputation.rates import RatesLoad, load_rates
from masques_pipelines.reputation.scores import Refresh, refresh_scores
from masques_pipelines.reputation.signals import write_signals
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse


@dataclass(frozen=True)
class Aggregation:
    """What each step did."""

    signals: int
    rates: RatesLoad
    facts: Facts
    refresh: Refresh


def aggregate(
    warehouse: Warehouse,
    settings: Settings,
    *,
    full: bool = False,
    report: Callable[[str], None] = lambda _line: None,
) -> Aggregation:
    """Brings the scores up to everything that is known now.

    Args:
        warehouse: Where.
        settings: They name the model and the landing zone.
        full: Compare all facts, not only what came in since the last run.
        report: Called with one line for each step.

    Raises:
        ModelError: The model cannot be used.
        LandingUnavailableError, SettingError: As load_rates.
        NotRefreshedError, WarehousePermanentError: As refresh_scores.
    """
    model = read_model(settings.reputation_model)
    if load_model(warehouse, model):
        report(f"reputation model {model.version} is in force from now on")
    rates = load_rates(warehouse, settings)
    for reason in rates.reasons:
        report(f"exchange rate not read: {reason}: correct the row; the next run reads it again")
    signals = write_signals(warehouse)
    facts = write_facts(warehouse, full=full, report=report)
    report(
        f"{signals} signals derived; facts written down: {facts.clusters} payers' first funders, "
        f"{facts.parties} parties, {facts.references} references, {facts.evidence} rows of evidence"
        f"{' (everything was compared)' if facts.is_full else ''}"
    )
    refresh = refresh_scores(warehouse, report=report)
    return Aggregation(signals=signals, rates=rates, facts=facts, refresh=refresh)
