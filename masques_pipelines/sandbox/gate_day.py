"""Installs the sandbox's landing zone: a packaged day of gate files, each table in another format.

The day belongs to the packaged ledger capture: its paid requests and sessions name transfers of it.
All times move by one difference, so that the last one is now: fixed dates would fall outside
retention and score windows. A file that is there is never written again: it was loaded.
"""

import gzip
import importlib.resources
import io
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from masques_pipelines.sandbox.part import Part
from masques_pipelines.whole_file import whole_file

# The sandbox's landing zone.
LANDING: Final = "landing"
# Only times in this exact form move; the odd ones among the bad rows stay as they are.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
_FILES: Final = {
    "identities.csv": "identities/gate-day.csv",
    "masque_sessions.ndjson": "masque_sessions/gate-day.ndjson",
    "api_requests.ndjson": "api_requests/gate-day.ndjson.gz",
    "reputation_events.ndjson": "reputation_events/gate-day.parquet",
    "payment_links.csv": "payment_links/gate-day.csv.gz",
}
# Older than any file that may still grow.
_AGE_S: Final = 60


def install(root: Path) -> str:
    """Installs the day in the landing zone below the sandbox's folder."""
    folder = root / LANDING
    packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / "gate_day"
    last = json.loads((packaged / "meta.json").read_text(encoding="utf-8"))["last"]
    difference_ns = time.time_ns() - _ns(last)
    for name, target in _FILES.items():
        path = folder / target
        if not path.exists():
            text = (packaged / name).read_text(encoding="utf-8")
            moved = _TIME.sub(lambda found: _moment(_ns(found[0]) + difference_ns), text)
            _put(path, _encoded(moved, target))
    return f"landing    {folder}"


def _encoded(text: str, target: str) -> bytes:
    if target.endswith(".gz"):
        return gzip.compress(text.encode(), mtime=0)
    if target.endswith(".parquet"):
        return _parquet([json.loads(line) for line in text.splitlines()])
    return text.encode()


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    # They take longer to load than most commands need.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    for row in rows:
        row["score_delta"] = str(row["score_delta"])
        row["attributes"] = list(row["attributes"].items())
    kinds = {"attributes": pa.map_(pa.string(), pa.string()), "confidence": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()


def _put(path: Path, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all, and settled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, age_s=_AGE_S) as file:
        file.write(data)


def _ns(text: str) -> int:
    whole = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 10**9 + int(text[20:29])


def _moment(ns: int) -> str:
    whole, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


PART: Final = Part(
    install,
    shows=(
        ("What the gate reported, and what became of it", "sandbox/intake_files"),
        ("Why rows are in quarantine", "sandbox/intake_quarantine"),
        ("What was loaded and is worth a look", "sandbox/intake_findings"),
        ("What was charged and refunded, and what the ledger moved", "sandbox/charges"),
    ),
)
