"""A landing zone in a temporary folder, and what the intake made of its files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.zone import Landing, open_landing
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.paths import ROOT

COUNTS = ("rows_read", "blank", "loaded", "duplicates", "quarantined", "conflicts")


def counts(done: IntakeResult) -> dict[str, int]:
    return {name: done.total(name) for name in COUNTS if done.total(name)}


def rows_of(warehouse: Warehouse, table: str = "api_requests") -> list[tuple[Any, ...]]:
    return warehouse.rows(f"SELECT * EXCEPT ingested_at FROM {TABLES[table].target} ORDER BY ALL")


def undocumented(reasons: Iterable[str]) -> list[str]:
    """Returns the kinds of reasons that docs/intake.md does not explain."""
    text = (ROOT / "docs" / "intake.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z_]+)[`:]", text))
    kinds = {reason.partition(":")[0] for reason in reasons}
    # `unknown_<field>` stands for them all.
    return sorted(kind for kind in kinds - explained if not kind.startswith("unknown_"))


def in_quarantine(warehouse: Warehouse, state: str = "open") -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT source, line_no, reason FROM masques_ops.quarantine FINAL "
        f"WHERE state = '{state}' ORDER BY ALL"
    )


def assert_accounted_for(warehouse: Warehouse, done: IntakeResult) -> None:
    for file in done.files:
        assert file.rows_read == file.blank + file.loaded + file.duplicates + file.quarantined
    assert warehouse.rows(sql("intake/rows_accounted_for"), {"folder": done.table.name}) == []
    assert warehouse.rows(sql("intake/keys_unique"), {"keys": f"{done.table.name}_keys"}) == []


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
