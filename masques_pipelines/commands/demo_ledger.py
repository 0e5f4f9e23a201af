"""The demo's ledger: a packaged capture of a real server, unless the settings name a ledger.

Here: laying down the part's input, and what it shows.
Not here: laying down the capture (ledger/packaged.py).
A re-run uses the capture that was laid down before.
"""

from typing import Final

from masques_pipelines.commands.demo_part import Part
from masques_pipelines.ledger.packaged import ledger_url
from masques_pipelines.settings import Settings


def _prepare(settings: Settings) -> str:
    return f"ledger     {ledger_url(settings)}"


PART: Final = Part(
    prepare=_prepare,
    shows=(
        ("The money, by ledger (whole units of the currency)", "queries/ledger/money_by_currency"),
        ("The events", "queries/demo/events"),
    ),
)
