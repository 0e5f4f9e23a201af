"""Installs the sandbox's ledger: a packaged capture of a real TigerBeetle server, re-dated to now.

Fixed dates would fall outside retention and score windows. An installed capture is never written
again: a warehouse is bound to one ledger.
"""

import importlib.resources
import time
from pathlib import Path
from typing import Final

from masques_pipelines.sandbox.part import Part

FOLDER: Final = "ledger"


def install(root: Path) -> str:
    """Installs the capture below the sandbox's folder."""
    folder = root / FOLDER
    if not folder.is_dir():
        # numpy takes longer to load than most commands need.
        from masques_pipelines.sandbox.capture_shift import shift_capture  # noqa: PLC0415

        packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / "capture"
        with importlib.resources.as_file(packaged) as source:
            shift_capture(Path(source), folder, last_timestamp_ns=time.time_ns())
    return f"ledger     {folder}"


PART: Final = Part(
    install,
    shows=(
        ("The money, by ledger (whole units of the currency)", "ledger/money_by_currency"),
        ("The events", "sandbox/events"),
    ),
)
