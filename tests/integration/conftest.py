"""Fixtures of the intake: a landing zone in a temporary folder.

Here: dropping files and loading them.
Not here: rows (tests/support/gate_rows.py).
A re-run starts with an empty landing zone.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse


@dataclass
class Zone:
    """A landing zone whose files have settled when they are dropped."""

    folder: Path

    @property
    def landing(self) -> Landing:
        return open_landing(
            read_settings(
                {"MASQUES_HOME": str(self.folder), "MASQUES_LANDING_URL": str(self.folder)}
            )
        )

    def drop(self, path: str, data: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def load(self, warehouse: Warehouse, table: str = "api_requests") -> IntakeResult:
        return load_table(warehouse, self.landing, TABLES[table], settle_s=-1)


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path / "landing")
