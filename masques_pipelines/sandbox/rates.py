"""The demo's reputation: scores of whoever the packaged ledger knows, and one of them explained.

Here: the packaged exchange rates, and what it shows.
Not here: the aggregation (reputation/). The events are derived from the ledger that the part before
brought; events in the landing zone join them once they are loaded.
A re-run uses the rates that were laid down before; only the moment of the scores is new.
"""

import csv
import importlib.resources
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from masques_pipelines.reputation.rates import FOLDER
from masques_pipelines.sandbox.part import Part
from masques_pipelines.settings import Settings

_PACKAGED: Final = "exchange_rates.csv"


def _prepare(settings: Settings) -> str:
    if "://" in settings.landing_url:
        return f"rates      {settings.landing_url}/{FOLDER}"
    path = Path(settings.landing_url) / FOLDER / "demo.csv"
    if not path.exists():
        packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / _PACKAGED
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dated(packaged.read_text(encoding="utf-8")), encoding="utf-8")
        # It does not grow any more, so nobody need wait for it to settle.
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
    prepare=_prepare,
    shows=(
        ("The scores (rank by score_lower)", "sandbox/scores"),
        (
            "Why the first has its score: the effects add up to it (masques reputation explain)",
            "sandbox/explained",
        ),
    ),
)
