"""The recordings that stand in for nodes in the demo, laid down once under MASQUES_HOME.

Here: laying down packaged recordings and a journal, moved in time to now.
Not here: replaying them (recording.py).
A re-run uses what was laid down before, as it is.
"""

import dataclasses
import importlib.resources
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from masques_pipelines.rails.journal.rail import FOLDER
from masques_pipelines.rails.recording import redated
from masques_pipelines.settings import Settings

PACKAGE: Final = "masques_pipelines.sandbox"
RECORDINGS: Final = ("base", "solana", "lightning")
JOURNAL_NAME: Final = "demo.ndjson"
# The treasury that the recordings were made with, and where they begin.
TREASURY: Final[Mapping[str, tuple[str, ...]]] = {
    "base": ("0x976ea74026e726554db657fa54763abd0c3a0aa9",),
    "solana": ("9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu",),
}
START: Final[Mapping[str, int]] = {"base": 0, "solana": 300_000_000}


def laid_down(settings: Settings, rail: str) -> Path | None:
    """Returns the recording of a rail that a demo laid down, None when there is none."""
    path = _folder(settings) / f"{rail}.json"
    return path if path.is_file() else None


def with_recordings(settings: Settings) -> Settings:
    """Returns the settings with the recordings that a demo laid down in place of unset rails."""
    configured = {rail: getattr(settings, rail) for rail in RECORDINGS}
    if any(each.url is not None for each in configured.values()):
        return settings
    recorded = {
        rail: dataclasses.replace(
            configured[rail],
            url=f"recording://{quote(str(path))}",
            treasury=TREASURY.get(rail, ()),
            start=START.get(rail),
            credential_file=None,
            tls_cert_file=None,
        )
        for rail in RECORDINGS
        if (path := laid_down(settings, rail)) is not None
    }
    return dataclasses.replace(settings, **recorded)


def lay_down(settings: Settings) -> Path:
    """Lays down the recordings and the journal, the newest fact of all at this moment."""
    folder = _folder(settings)
    if folder.is_dir():
        return folder
    packaged = importlib.resources.files(PACKAGE) / "data" / "rails"
    journal = [
        json.loads(line)
        for line in (packaged / JOURNAL_NAME).read_text(encoding="utf-8").splitlines()
    ]
    recordings = {
        rail: json.loads((packaged / f"{rail}.json").read_text(encoding="utf-8"))
        for rail in RECORDINGS
    }
    newest_s = max(each["recorded_at_s"] for each in recordings.values())
    difference_s = int(time.time()) - newest_s
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    for rail, recording in recordings.items():
        (part / f"{rail}.json").write_text(json.dumps(redated(recording, difference_s)))
    landing = Path(settings.landing_url) / FOLDER
    landing.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_moved_line(line, difference_s)) + "\n" for line in journal]
    (landing / JOURNAL_NAME).write_text("".join(lines))
    part.rename(folder)  # last: what is under this name is whole
    return folder


def _folder(settings: Settings) -> Path:
    return settings.home / "rails"


def _moved_line(line: dict[str, Any], difference_s: int) -> dict[str, Any]:
    """Returns a line of the journal with its times moved."""
    moved = {**line, "recorded_at": line["recorded_at"] + difference_s}
    payload = (line.get("request") or {}).get("paymentPayload", {}).get("payload", {})
    signed = payload.get("authorization")
    if signed:
        moved = json.loads(json.dumps(moved))
        inner = moved["request"]["paymentPayload"]["payload"]["authorization"]
        inner["validBefore"] = str(int(signed["validBefore"]) + difference_s)
    return moved
