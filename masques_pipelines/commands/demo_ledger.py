"""The demo's ledger: a packaged capture of a real server, unless the settings name a ledger.

Here: laying down the part's input, and what it shows.
Not here: laying down the capture (sandbox/ledger.py).
A re-run uses the capture that was laid down before.
"""

from typing import Final

from masques_pipelines.sandbox.ledger import ledger_url
from masques_pipelines.sandbox.part import Part
from masques_pipelines.settings import Settings


def _prepare(settings: Settings) -> str:
    return f"ledger     {ledger_url(settings)}"


PART: Final = Part(
    prepare=_prepare,
    shows=(
        ("The money, by ledger (whole units of the currency)", "ledger/money_by_currency"),
        ("The events", "sandbox/events"),
    ),
)
