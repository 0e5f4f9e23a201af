"""The demo's landing zone: a packaged day of gate files, unless the settings name a landing zone.

Here: laying down the part's input, and what it shows.
Not here: laying down the day (sandbox/gate_day.py).
A re-run finds the files loaded and writes no row.
"""

from typing import Final

from masques_pipelines.sandbox.gate_day import lay_down_day
from masques_pipelines.sandbox.part import Part
from masques_pipelines.settings import Settings


def _prepare(settings: Settings) -> str:
    return f"landing    {lay_down_day(settings)}"


PART: Final = Part(
    prepare=_prepare,
    shows=(
        ("What the gate reported, and what became of it", "sandbox/intake_files"),
        ("Why rows are in quarantine", "sandbox/intake_quarantine"),
        ("What was loaded and is worth a look", "sandbox/intake_findings"),
    ),
)
