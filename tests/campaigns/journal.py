"""Reads many mutated lines of the gate's journal into a warehouse: nothing ends a run or is lost.

`python -m tests.campaigns.journal --lines 100000 --seed 1` reads them as files, in as many runs as
it takes, and says what became of them. It fails when a line is neither announced, quarantined nor
ignored by a rule, or when a secret is found in a table.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from masques_pipelines.landing.zone import open_landing
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.campaigns.journal_lines import CANARIES, KNOWN, Mutator
from tests.support.fresh_schema import fresh_schema

LINES_PER_FILE = 10_000
TABLES = (
    "masques.settlements",
    "masques_ops.quarantine",
    "masques_ops.journal_events",
    "masques_ops.settlement_claims",
    "masques_ops.settlement_findings",
    "masques_ops.rail_cursors",
)


@dataclass
class Outcome:
    """What became of the lines."""

    lines: int = 0
    announced: int = 0
    rejected: int = 0
    ignored: int = 0
    events: int = 0
    leaks: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return self.lines == self.announced + self.rejected + self.ignored and not self.leaks


def run(warehouse: Warehouse, landing: Path, *, lines: int, seed: int) -> Outcome:
    """Writes the lines to a landing zone and reads them."""
    folder = landing / "settlement_journal"
    folder.mkdir(parents=True)
    mutator, outcome = Mutator(seed), Outcome()
    for number in range(lines):
        with (folder / f"gate{number // LINES_PER_FILE}.ndjson").open(
            "a", encoding="utf-8", errors="surrogatepass"
        ) as file:
            file.write(mutator.line() + "\n")
    files = open_landing(read_settings({"MASQUES_LANDING_URL": str(landing)}))
    for _ in range(2):  # the second run changes nothing
        done = ingest(warehouse, JournalRail(files, KNOWN))
        outcome.lines += done.notes.get("lines", 0)
        outcome.announced += done.observations
        outcome.rejected += done.rejected
        outcome.ignored += done.notes.get("lines_without_payment", 0)
    if outcome.lines != lines:
        outcome.leaks.append(f"{outcome.lines} lines were read of {lines}")
    outcome.events = int(warehouse.scalar("SELECT count() FROM masques_ops.journal_events FINAL"))
    stored = int(
        warehouse.scalar(
            "SELECT count() FROM masques_ops.quarantine FINAL WHERE table_name = 'settlements'"
        )
    )
    if stored != outcome.rejected:
        outcome.leaks.append(f"{stored} lines are in quarantine of {outcome.rejected}")
    for table in TABLES:
        text = warehouse.text(f"SELECT * FROM {table}", fmt="JSONEachRow")
        outcome.leaks += [f"{table} holds {each[:12]}" for each in CANARIES if each in text]
    return outcome


def main() -> None:
    """Runs the campaign in a warehouse of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            fresh_schema(warehouse)
            outcome = run(
                warehouse, Path(home) / "landing", lines=arguments.lines, seed=arguments.seed
            )
    print(f"{outcome} in {time.monotonic() - began_s:.0f} s")  # noqa: T201 - a command
    sys.exit(0 if outcome.is_good else 1)


if __name__ == "__main__":
    main()
