"""Installs the sandbox's rails: recordings of three nodes and a gate's journal, re-dated to now."""

import importlib.resources
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from masques_pipelines.sandbox.gate_day import LANDING
from masques_pipelines.sandbox.part import Part
from masques_pipelines.sandbox.redating import redated

FOLDER: Final = "rails"
RECORDINGS: Final = ("base", "solana", "lightning")
JOURNAL_NAME: Final = "demo.ndjson"
# The treasury that the recordings were made with, and where they begin.
TREASURY: Final[Mapping[str, tuple[str, ...]]] = {
    "base": ("0x976ea74026e726554db657fa54763abd0c3a0aa9",),
    "solana": ("9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu",),
}
START: Final[Mapping[str, int]] = {"base": 0, "solana": 300_000_000}


def install(root: Path) -> str:
    """Installs the recordings and the journal; the newest fact of all is of this moment."""
    folder = root / FOLDER
    if not folder.is_dir():
        # A rail's module takes long to load, and only a first install needs it.
        from masques_pipelines.rails.journal.rail import FOLDER as JOURNAL  # noqa: PLC0415

        _install(folder, root / LANDING / JOURNAL)
    return f"rails      recordings in {folder}"


def recording_path(root: Path, rail: str) -> Path:
    """Returns where a rail's recording is installed."""
    return root / FOLDER / f"{rail}.json"


def _install(folder: Path, journal_folder: Path) -> None:
    packaged = importlib.resources.files("masques_pipelines.sandbox") / "data" / "rails"
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
    journal_folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_moved_line(line, difference_s)) + "\n" for line in journal]
    (journal_folder / JOURNAL_NAME).write_text("".join(lines))
    part.rename(folder)  # last: what is under this name is whole


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


PART: Final = Part(
    install,
    shows=(
        ("Settlements, by rail and status (whole units of the currency)", "rails/by_rail"),
        ("What contradicts itself", "rails/findings"),
    ),
)
