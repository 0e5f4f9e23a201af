"""Installs the sandbox's exchange rates, as a file of its landing zone."""

import csv
import importlib.resources
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from masques_pipelines.reputation.rates import FOLDER
from masques_pipelines.sandbox.gate_day import LANDING
from masques_pipelines.sandbox.part import Part

_PACKAGED: Final = "exchange_rates.csv"


def install(root: Path) -> str:
    """Installs the rates in the landing zone below the sandbox's folder."""
    path = root / LANDING / FOLDER / "demo.csv"
    if not path.exists():
        packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / _PACKAGED
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dated(packaged.read_text(encoding="utf-8")), encoding="utf-8")
        # Older than any file that may still grow.
        written_s = path.stat().st_mtime - 60
        os.utime(path, (written_s, written_s))
    return f"rates      {path}"


def _dated(text: str) -> str:
    """Returns the packaged rates with days_ago turned into times."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["currency", "quoted_at", "usd"])
    for row in csv.DictReader(io.StringIO(text)):
        quoted_at = datetime.now(UTC) - timedelta(days=int(row["days_ago"]))
        writer.writerow([row["currency"], quoted_at.isoformat(timespec="seconds"), row["usd"]])
    return out.getvalue()


PART: Final = Part(
    install,
    shows=(
        ("The scores (rank by score_lower)", "sandbox/scores"),
        (
            "Why the first has its score: the effects add up to it (masques reputation explain)",
            "sandbox/explained",
        ),
    ),
)
