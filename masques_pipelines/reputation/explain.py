"""Explains the score of an identity by the events that moved it, and checks that both agree."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.reputation.model import read_model
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Sums of floats in another order differ in their last digits.
TOLERANCE: Final = 1e-9
_NEWEST_MOMENT: Final = """
SELECT
    toString(max(computed_at)) AS computed_at, toString(now64(9, 'UTC')) AS now, count() AS scores
FROM masques.reputation_scores
"""
_MODEL: Final = """
SELECT m.model_version AS model_version, m.numbers AS numbers
FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m
"""


class ExplanationError(PermanentError):
    """The score cannot be explained; the text says why."""


@dataclass(frozen=True)
class Explanation:
    """A score and the events behind it.

    Attributes:
        score: The columns of the score.
        prior: The score without evidence.
        contributions: One record per event, the largest effect first. The effects add up to the
            score less the prior.
    """

    score: dict[str, Any]
    prior: float
    contributions: list[dict[str, Any]]


def explain(
    warehouse: Warehouse,
    identity_id: uuid.UUID,
    *,
    as_of: str | None = None,
    with_hindsight: bool = False,
) -> Explanation:
    """Explains the score of an identity.

    Args:
        warehouse: Holds the scores.
        identity_id: The identity.
        as_of: A past moment, `YYYY-MM-DD hh:mm:ss` in UTC; None for the latest scores.
        with_hindsight: Use what is known today, not only what was known at that moment.

    Raises:
        ExplanationError: There is no such score, its model was computed by another formula, or the
            effects do not add up to it.
    """
    newest, now, scores = warehouse.row(_NEWEST_MOMENT)
    if as_of is None and not scores:
        raise ExplanationError(
            "there are no scores yet: run `masques job execute -j reputation_aggregation_job`"
        )
    moment = as_of or str(newest)
    parameters = {
        "identity_id": str(identity_id),
        "as_of": moment,
        "known_at": str(now) if with_hindsight else moment,
    }
    found = warehouse.records(sql("reputation/score_of"), parameters)
    if not found:
        raise ExplanationError(
            f"{identity_id}: no identity or event of that id was known at {moment} UTC: "
            "look for it in masques.identities, or ask --with-hindsight"
        )
    version, numbers = warehouse.row(_MODEL, parameters)
    missing = sorted(read_model(None).numbers().keys() - numbers.keys())
    if missing:
        raise ExplanationError(
            f"the scores of {moment} UTC were made by the model {version}, which has no "
            f"{', '.join(missing)}: they cannot be computed again, read them in "
            "masques_ops.reputation_scores_history, or ask --with-hindsight"
        )
    prior = float(numbers["prior_score"])
    contributions = warehouse.records(sql("reputation/contributions_of"), parameters)
    adds_up_to = prior + sum(float(row["effect"]) for row in contributions)
    overall = float(found[0]["overall_score"])
    if abs(adds_up_to - overall) > TOLERANCE:
        raise ExplanationError(
            f"{identity_id}: the effects add up to {adds_up_to!r}, the score is {overall!r}: "
            "facts changed while they were read; run this again"
        )
    return Explanation(score=found[0], prior=prior, contributions=contributions)


def parse_moment(text: str) -> str:
    """Returns an ISO 8601 time in the format of the engine, in UTC.

    Raises:
        ValueError: The text is not an ISO 8601 time.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
