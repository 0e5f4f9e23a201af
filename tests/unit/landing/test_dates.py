"""The dates that folders are named by, and listings that leave older ones out."""

import os
from datetime import date
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from masques_pipelines.landing.dates import is_older, last_day
from masques_pipelines.landing.listing import list_folder
from masques_pipelines.landing.zone import Landing


@pytest.mark.parametrize(
    ("path", "day"),
    [
        ("2026-11-24", date(2026, 11, 24)),
        ("20261124", date(2026, 11, 24)),
        ("dt=2026-11-24/hour=07", date(2026, 11, 24)),
        ("gate/2026/11/24", date(2026, 11, 24)),
        ("year=2026/month=11/day=24", date(2026, 11, 24)),
        ("2026/11/24/07", date(2026, 11, 24)),
        ("2026-11", date(2026, 11, 30)),
        ("2026/02", date(2026, 2, 28)),
        ("2026", date(2026, 12, 31)),
        ("gate", None),
        ("11/24", None),
        ("2026-13-01", None),
        ("2026-02-30", None),
        ("0000-01-01", None),
        ("20261124T07", None),
        ("v2026-11-24", None),
        ("", None),
    ],
)
def test_the_last_day_of_a_folder(path: str, day: date | None) -> None:
    assert last_day(path) == day
    assert is_older(path, date(2026, 11, 25)) == (day is not None and day < date(2026, 11, 25))
    assert not is_older(path, None)


FILES = [
    "2026-11-20/a.ndjson",
    "2026-11-24/b.ndjson",
    "2026/10/31/c.ndjson",
    "2026/11/25/d.ndjson",
    "other/e.ndjson",
    "f.ndjson",
]
UNLISTED = ["api_requests/2026-11-20/", "api_requests/2026/10/"]


@pytest.mark.parametrize("store", ["folder", "other"])
def test_older_folders_are_not_looked_into(tmp_path: Path, store: str) -> None:
    if store == "folder":
        from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

        landing = Landing(LocalFileSystem(), str(tmp_path), str(tmp_path))
        for name in FILES:
            file = tmp_path / "api_requests" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"{}\n")
            os.utime(file, (1, 1))
    else:
        landing = Landing(MemoryFileSystem(), f"/{tmp_path.name}", "memory")
        for name in FILES:
            landing.filesystem.pipe(f"/{tmp_path.name}/api_requests/{name}", b"{}\n")
    recent = list_folder(landing, "api_requests", settle_s=-60, since=date(2026, 11, 23))
    assert [file.path.removeprefix("api_requests/") for file in recent.files] == sorted(
        FILES[n] for n in (1, 3, 4, 5)
    )
    assert recent.unlisted == UNLISTED
    assert recent.passed_over == []
    everything = list_folder(landing, "api_requests", settle_s=-60)
    assert len(everything.files) == len(FILES)
    assert everything.unlisted == []
