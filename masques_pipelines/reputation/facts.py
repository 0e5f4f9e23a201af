"""What the scores are computed from, written down as it is known now.

Here: payer clusters, who is who, and what each reference proves, each only where it changed.
Not here: the computation itself (sql/011_reputation.sql), signals (signals.py), rates (rates.py).
A re-run writes nothing when nothing changed. Rows are never changed, only followed by newer ones,
so that a score can be computed again from what was known at its time.
"""

from dataclasses import dataclass

from masques_pipelines.reputation.clusters import follow_funders
from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Facts:
    """What was written down.

    Attributes:
        clusters: Parties whose first funder was found.
        parties: Parties of whom something changed.
        references: References that prove something else than before.
    """

    clusters: int
    parties: int
    references: int


def write_facts(warehouse: Warehouse) -> Facts:
    """Writes down what changed since the last run."""
    clusters = follow_funders(warehouse)
    parties_before, references_before = _rows(warehouse)
    warehouse.command(sql("transforms/reputation/write_parties"))
    warehouse.command(sql("transforms/reputation/write_references"))
    parties, references = _rows(warehouse)
    return Facts(
        clusters=clusters,
        parties=parties - parties_before,
        references=references - references_before,
    )


def _rows(warehouse: Warehouse) -> tuple[int, int]:
    row = warehouse.row(sql("queries/reputation/facts_rows"))
    return int(row[0]), int(row[1])
