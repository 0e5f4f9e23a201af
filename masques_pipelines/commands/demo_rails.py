"""The demo's settlements: recordings of three rails and a gate's journal, unless rails are set.

Here: laying down the part's input, and what it shows.
Not here: laying down and replaying recordings (sandbox/rails.py, rails/recording.py).
A re-run uses the recordings that were laid down before, so nothing is new.
"""

from typing import Final

from masques_pipelines.sandbox.part import Part
from masques_pipelines.sandbox.rails import lay_down
from masques_pipelines.settings import Settings


def _prepare(settings: Settings) -> str:
    configured = (settings.base, settings.solana, settings.lightning)
    if any(each.url is not None for each in configured):
        return "rails      those of the settings"
    if "://" in settings.landing_url:
        return "rails      off: the demo's journal needs a landing zone that is a folder"
    return f"rails      recordings in {lay_down(settings)}"


PART: Final = Part(
    prepare=_prepare,
    shows=(
        ("Settlements, by rail and status (whole units of the currency)", "rails/by_rail"),
        ("What contradicts itself", "rails/findings"),
    ),
)
