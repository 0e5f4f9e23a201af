"""`masques reputation`: scores, why they are what they are, and computing them from everything.

Not here: the computation (sql/095_views_reputation_scores.sql) and its explanation
(reputation/explain.py).
A re-run asks again; recompute changes nothing but the moment of the scores when nothing changed.
"""

import uuid
from typing import Any

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.reputation.explain import Explanation, explain, parse_moment
from masques_pipelines.reputation.recompute import recompute

_MORE = "… and {count} more with a total effect of {effect:+.4f} (--all shows them)"


@click.group()
def reputation() -> None:
    """Scores of identities."""


@reputation.command("explain")
@click.argument("identity", type=click.UUID)
@click.option("--as-of", help="A past moment, ISO 8601, UTC unless it says otherwise.")
@click.option(
    "--with-hindsight",
    is_flag=True,
    help="With --as-of: use what is known today, not only what was known at that moment.",
)
@click.option("--all", "show_all", is_flag=True, help="Show every event, not only the largest 20.")
def explain_command(
    identity: uuid.UUID, as_of: str | None, *, with_hindsight: bool, show_all: bool
) -> None:
    """Show the score of IDENTITY and each event that moved it; the effects add up to the score."""
    try:
        moment = None if as_of is None else parse_moment(as_of)
    except ValueError as error:
        raise click.BadParameter(
            f"{as_of!r} is not a valid time: {error}", param_hint="--as-of"
        ) from error
    with opened_warehouse(command_settings(), "reputation explain") as warehouse:
        found = explain(warehouse, identity, as_of=moment, with_hindsight=with_hindsight)
    for line in explanation_lines(identity, found, rows_max=None if show_all else 20):
        click.echo(line)


@reputation.command("recompute")
def recompute_command() -> None:
    """Compare all facts with the written ones, correct differences, and refresh the scores.

    The hourly job looks only at new rows, and compares everything once a day.
    """
    settings = command_settings()
    with opened_warehouse(settings, "reputation recompute", writes=True) as warehouse:
        scored, lines = recompute(warehouse, settings)
    click.echo(f"{scored} identities scored")
    for line in lines:
        click.echo(f"put right, and no longer a finding: {line}")


def explanation_lines(
    identity: uuid.UUID, found: Explanation, *, rows_max: int | None
) -> list[str]:
    """Returns an explanation as lines of text."""
    score = found.score
    lines = [
        f"identity   {identity}",
        f"as of      {score['computed_at']} UTC, model {score['model_version']}",
        (
            f"score      {score['overall_score']:.4f}, at least {score['score_lower']:.4f} "
            f"(rank by this), confidence {score['confidence']:.3f}"
        ),
        (
            f"           tasks {score['task_quality_score']:.3f}, "
            f"economic {score['economic_score']:.3f}, "
            f"hygiene {score['identity_hygiene_score']:.3f}"
        ),
        (
            f"before     7 days ago {score['score_7d_ago']:.4f}, "
            f"30 days ago {score['score_30d_ago']:.4f}"
        ),
        (
            f"events     {score['total_events']} in the window, {score['positive_events']} good, "
            f"{score['negative_events']} bad; {score['excluded_events']} count zero"
        ),
        "",
        (
            "  effect  category          event                age d  delta  weight  reason         "
            "standing  counted  cluster   reference"
        ),
    ]
    shown = found.contributions[:rows_max]
    lines += [_contribution_line(row) for row in shown]
    rest = found.contributions[len(shown) :]
    if rest:
        effect = sum(float(row["effect"]) for row in rest)
        lines.append(_MORE.format(count=len(rest), effect=effect))
    total = sum(float(row["effect"]) for row in found.contributions)
    lines.append(
        f"{total:+.4f}  sum; {found.prior:.4f} without evidence, {total:+.4f} from events "
        f"= {found.prior + total:.4f}"
    )
    return lines


def _contribution_line(row: dict[str, Any]) -> str:
    reference = f"{row['reference_type']} {row['reference_id']}".strip() or "none"
    return (
        f"{row['effect']:+.4f}  {row['category']:<16}  {row['event_type'][:19]:<19}"
        f"{row['age_days']:>7.1f}{row['delta']:>7.2f}{row['weight']:>8.3f}  {row['reason']:<13}"
        f"{row['standing']:>10.3f}{row['counted_share']:>9.3f}  {str(row['cluster_id'])[:8]}"
        f"  {reference}"
    )
