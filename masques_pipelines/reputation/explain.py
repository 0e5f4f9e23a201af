"""Why an identity has the score it has.

Here: reading one score and every event that moved it, and checking that the two agree.
Not here: the computation (sql/014_evidence.sql) and how it is shown (commands/reputation.py).
A re-run asks again.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Sums of floats in another order differ in their last digits.
TOLERANCE: Final = 1e-9


class ExplanationError(PermanentError):
    """The score cannot be explained; the text says why."""


@dataclass(frozen=True)
class Explanation:
    """A score and what it is made of.

    Attributes:
        score: The columns of the score.
        prior: The score without evidence.
        contributions: One record for each event, the largest effect first. The effects add up to
            the score less the prior.
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
        warehouse: Where.
        identity_id: Whose score.
        as_of: Of which moment, `YYYY-MM-DD hh:mm:ss` in UTC; None for the newest scores.
        with_hindsight: Use what is known today, not only what was known at that moment.

    Raises:
        ExplanationError: There was no score of it, or the parts do not add up to it.
    """
    newest, now, scores = warehouse.row(sql("reputation/newest_moment"))
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
    prior = float(warehouse.row(sql("reputation/prior"), parameters)[0])
    contributions = warehouse.records(sql("reputation/contributions_of"), parameters)
    adds_up_to = prior + sum(float(row["effect"]) for row in contributions)
    overall = float(found[0]["overall_score"])
    if abs(adds_up_to - overall) > TOLERANCE:
        raise ExplanationError(
            f"{identity_id}: the parts add up to {adds_up_to!r}, the score is {overall!r}: "
            "facts changed while they were read; ask again"
        )
    return Explanation(score=found[0], prior=prior, contributions=contributions)


def parse_moment(text: str) -> str:
    """Returns an ISO 8601 time as the engine takes it, in UTC; ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
