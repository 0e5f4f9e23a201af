"""Reads many mutated lines of the gate's journal as a user would: nothing ends a run or is lost.

`python -m tests.campaigns.journal --lines 100000 --seed 1` writes them into a home of its own, runs
the job on them twice, and says what became of each. It fails when a run does not end well, when the
lines that were read are not those that were announced, quarantined and ignored by a rule, when the
second run changes anything, or when a secret is in a table, or in a file of the home or of the
history of its runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from masques_pipelines.rails import catalog
from masques_pipelines.rails.journal.lines import read_line
from masques_pipelines.rails.journal.rail import FOLDER
from masques_pipelines.rails.protocol import AssetAllowList
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.campaigns.journal_lines import CANARIES, Mutator
from tests.support.dagster_home import copy_history

LINES_PER_FILE = 10_000
JOB = ("job", "execute", "-j", "settlement_ingestion_job")
TABLES = (
    "masques.settlements",
    "masques_ops.quarantine",
    "masques_ops.journal_events",
    "masques_ops.settlement_claims",
    "masques_ops.settlement_findings",
    "masques_ops.rail_cursors",
    "masques_ops.rail_runs",
)
# Of the quarantine each line, of the settlements each revision.
STORED = """
SELECT
    (SELECT count() FROM masques_ops.quarantine FINAL WHERE table_name = 'settlements'),
    (SELECT count() FROM masques_ops.journal_events FINAL),
    (SELECT count() FROM masques.settlements),
    (SELECT uniqExact(settlement_id) FROM masques.settlements)
"""
RUNS = """
SELECT observations, rejected, revisions FROM masques_ops.rail_runs
WHERE rail = 'journal' AND state = 'read' ORDER BY finished_at
"""


def write_lines(landing: Path, *, lines: int, seed: int) -> Counter[str]:
    """Writes files of mutated lines; returns how many end how, each line read by itself."""
    folder, mutator = landing / FOLDER, Mutator(seed)
    folder.mkdir(parents=True)
    known = catalog.allow_list(read_settings({}))
    ends: Counter[str] = Counter()
    for first in range(0, lines, LINES_PER_FILE):
        path = folder / f"gate{first // LINES_PER_FILE}.ndjson"
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            for _ in range(min(LINES_PER_FILE, lines - first)):
                line = mutator.line()
                file.write(line + "\n")
                ends[_end_of(line, known)] += 1
    return ends


def _end_of(line: str, known: AssetAllowList) -> str:
    text = line.encode("utf-8", "surrogatepass").decode("utf-8", "replace").strip()
    found = read_line(text, known, source="a", line_no=1)
    if found.reason:
        return f"quarantined: {found.reason.split(':')[0]}"
    return "announced" if found.observation is not None else f"ignored: {found.rule}"


def faults_of(warehouse: Warehouse, ends: Counter[str]) -> Iterator[str]:
    """Yields what the tables have otherwise than the lines, after two runs."""
    announced, lines = ends["announced"], sum(ends.values())
    quarantined = sum(count for end, count in ends.items() if end.startswith("quarantined"))
    ignored = sum(count for end, count in ends.items() if end.startswith("ignored"))
    if announced + quarantined + ignored != lines:
        yield f"of {lines} lines {announced + quarantined + ignored} ended in one way"
    runs = warehouse.rows(RUNS)
    first, *later = [row[:2] for row in runs] or [(0, 0)]
    if first != (announced, quarantined):
        yield f"the run read {first} of {(announced, quarantined)} announced and quarantined"
    if any(any(row) for row in later):
        yield f"a later run read lines again: {later}"
    stored = warehouse.rows(STORED)[0]
    if stored[0] != quarantined:
        yield f"{stored[0]} lines are in quarantine of {quarantined}"
    for table in TABLES:
        text = warehouse.text(f"SELECT * FROM {table}", fmt="JSONEachRow")
        yield from (f"{table} holds {each[:12]}" for each in CANARIES if each in text)


def leaks_of(folder: Path, *, but: Iterable[str] = (FOLDER,)) -> Iterator[str]:
    """Yields the files that hold a secret; the journal itself does."""
    secrets = [each.encode() for each in CANARIES]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not set(but) & set(path.parts):
            data = path.read_bytes()
            yield from (
                f"{path.relative_to(folder)} holds {s[:12]!r}" for s in secrets if s in data
            )


def main() -> None:
    """Runs the campaign in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ends = write_lines(home / "landing", lines=arguments.lines, seed=arguments.seed)
        copy_history(home)
        environment = {**os.environ, "MASQUES_HOME": folder, "DAGSTER_HOME": folder}
        environment["MASQUES_LANDING_URL"] = str(home / "landing")
        faults = []
        for _ in range(2):
            command = [sys.executable, "-m", "masques_pipelines", *JOB]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            output = done.stdout + done.stderr
            faults += [f"the output holds {each[:12]}" for each in CANARIES if each in output]
            if done.returncode:
                faults.append(f"a run ended with {done.returncode}: {output[-2_000:]}")
        settings = read_settings({"MASQUES_HOME": folder})
        with open_warehouse(settings, origin=Origin(job="campaign")) as warehouse:
            faults += faults_of(warehouse, ends)
            quarantined, events, revisions, settlements = warehouse.rows(STORED)[0]
        faults += leaks_of(home)
    took = f"{arguments.lines} lines in {time.monotonic() - began_s:.0f} s"
    rows = f"{quarantined} in quarantine, {events} events, {revisions} revisions"
    lines = [
        f"{took}: {dict(ends.most_common())}",
        f"{rows} of {settlements} settlements",
        *(f"FAULT {each}" for each in faults),
    ]
    print("\n".join(lines))  # noqa: T201 - a command
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
