"""Settlements whose files are damaged: a rewind sets the part aside, the rail writes them again."""

from functools import partial

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.inventory.proofs import prove_content, prove_files, prove_parts, prove_rows
from masques_pipelines.inventory.tables import SETTLEMENTS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.broken_files import break_a_file
from tests.support.rail_worlds import BASE_NETWORK, base_world

# All that a chain says; when this process learned it is new.
CURRENT = (
    "SELECT * EXCEPT (recorded_at, ingested_at) FROM masques.settlements ORDER BY settlement_id"
)


def test_settlements_of_a_damaged_part_are_written_again(
    warehouse: Warehouse, engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    world = base_world(12)

    def read() -> None:
        with counted(warehouse, SETTLEMENTS):
            known = partial(open_settlements, warehouse, "base", BASE_NETWORK)
            ingest(warehouse, world.rail(known))

    read()
    whole = warehouse.rows(CURRENT)
    assert len(whole) == 12
    break_a_file(warehouse, SETTLEMENTS.name)
    files = (SETTLEMENTS.name,)
    assert prove_files(warehouse, everything=True, names=files).outcome == "fails"
    said = masques_says("rails", "rewind", "base", "0")
    assert "is damaged and was put aside; when settlement_ingestion_job" in said
    assert prove_rows(warehouse, SETTLEMENTS).outcome == "fails"
    read()
    assert warehouse.rows(CURRENT) == whole
    said = masques_says("accept", "settlements", "--by", "ops", "--reason", "a disk failed")
    assert "dropped masques.settlements: part" in said
    for proof in (
        prove_rows(warehouse, SETTLEMENTS),
        prove_content(warehouse, SETTLEMENTS, everything=True),
        prove_files(warehouse, everything=True, names=files),
        prove_parts(warehouse),
    ):
        assert proof.outcome == "holds", proof


def masques_says(*command: str) -> str:
    result = CliRunner().invoke(masques, command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output
