"""The demo's landing zone: a packaged day of gate files, unless the settings name a landing zone.

Here: the part's job and what it shows.
Not here: laying down the day (intake/packaged.py).
A re-run finds the files loaded and writes no row.
"""

from typing import Final

from masques_pipelines.commands.demo_part import Part
from masques_pipelines.intake.packaged import lay_down_day
from masques_pipelines.settings import Settings


def _prepare(settings: Settings) -> str:
    return f"landing    {lay_down_day(settings)}"


PART: Final = Part(
    job="intake_job",
    prepare=_prepare,
    shows=(
        ("What the gate reported, and what became of it", "queries/demo/intake_files"),
        ("Why rows are in quarantine", "queries/demo/intake_quarantine"),
        ("What was loaded and is worth a look", "queries/demo/intake_findings"),
    ),
)
