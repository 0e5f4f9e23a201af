"""Measures `masques verify --full` and the slices of a whole pass over millions of events.

Here: the tests' capture, tiled to so many events with the balances that they add up to; the copy
is made in one process and proved in another, so that the peak of memory is the proofs' own.
Aim: 1 GB at most for 5 million events.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.bench_ledger import CAPTURE, TiledLedger
from masques_pipelines.inventory.proofs import prove_tables
from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.capture.source import read_capture
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.proofs.suite import all_hold, prove_all
from masques_pipelines.ledger.records import timestamps_ns
from masques_pipelines.ledger.source import Page
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.verification.passes import advance_pass, read_passes
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse

BALANCES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
PHASES = ("fill", "verify", "slices")


class TiledAccounts(TiledLedger):
    """Tiled events, and the accounts that they add up to."""

    def accounts(self, timestamp_min: int) -> Page:
        """Returns all accounts from a time of creation on."""
        accounts = np.array(read_capture(CAPTURE).accounts)
        tiles = self._events // len(self._tile)
        for name in BALANCES:
            accounts[name]["low"] *= np.uint64(tiles)
        rest = accounts[timestamps_ns(accounts) >= timestamp_min]
        return Page(data=rest.tobytes(), ledger_time_ns=time.time_ns())


def measure(phase: str, home: str, events: int) -> dict[str, float]:
    """Runs one phase in this process; returns its seconds, CPU seconds and peak memory."""
    settings = read_settings({"MASQUES_HOME": home})
    began, began_cpu = time.perf_counter(), time.process_time()
    slices = 0
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        if phase == "fill":
            migrate(warehouse)
            with TiledAccounts(events) as ledger:
                sync_accounts(warehouse, ledger, read_chart(None))
                sync_transactions(warehouse, ledger, read_chart(None))
        elif phase == "verify":
            results = prove_all(warehouse, from_beginning=True)
            tables = list(prove_tables(warehouse, everything=True))
            wrong = {proof.name: one.summary for proof, one in results.items() if not one.holds}
            if not all_hold(results) or any(one.outcome == "fails" for one in tables):
                raise RuntimeError(f"the proofs of the made history do not hold: {wrong}")
        else:
            slices = advance_pass(warehouse, budget_s=3600, rest_s=0)
            found = read_passes(warehouse).complete
            if found is None or found.failed:
                raise RuntimeError(f"the pass did not hold: {found}")
    return {
        "slices": slices,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Prints a table; each phase runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--phase", choices=PHASES, help="run only this, as JSON")
    parser.add_argument("--home", help="of the phase")
    arguments = parser.parse_args()
    if arguments.phase:
        print(json.dumps(measure(arguments.phase, arguments.home, arguments.events)))
        return
    tile = len(read_capture(CAPTURE).change_events)
    events = -(-arguments.events // tile) * tile
    print(f"{events:,} events\n\n| | slices | s | CPU s | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as home:
        for phase in PHASES:
            command = [sys.executable, "-m", "benchmarks.bench_verify", f"--phase={phase}"]
            command += [f"--home={home}", f"--events={events}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            one = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {phase} | {one['slices'] or ''} | {one['seconds']:.0f} | {one['cpu_s']:.0f} "
                f"| {one['peak_mb']:.0f} |"
            )


if __name__ == "__main__":
    main()
