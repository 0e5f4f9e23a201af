"""The campaign of mutated lines, small: see tests/campaigns/journal.py for the large one."""

from pathlib import Path

from masques_pipelines.rails import catalog
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.rails.run import RailOutcome, record_runs
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.campaigns import journal
from tests.integration.rails.conftest import landing_at
from tests.support.campaign import rounds, seeded


def test_every_mutated_line_ends_in_one_way(warehouse: Warehouse, tmp_path: Path) -> None:
    ends = journal.write_lines(tmp_path, lines=rounds(500), seed=seeded().randrange(10**6))
    known = catalog.allow_list(read_settings({}))
    for _ in range(2):
        run = ingest(warehouse, JournalRail(landing_at(tmp_path), known))
        record_runs(warehouse, [RailOutcome("journal", run)])
    assert list(journal.faults_of(warehouse, ends)) == []
    assert len(ends) > 5
