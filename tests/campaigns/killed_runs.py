"""Kills runs at random moments of their lives; the next tick of each schedule asks for a run.

`python -m tests.campaigns.killed_runs --seed 1 --size 20` kills twenty runs of scheduled jobs in a
sandbox of its own, and lets one of the ledger's go through at the end. Nobody cleans up in between.
"""

import argparse
import contextlib
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from masques_pipelines.commands.dagster_home import make_home
from masques_pipelines.defs.dead_runs import START_MAX
from masques_pipelines.defs.jobs import SCHEDULES
from masques_pipelines.settings import VARIABLES
from tests.support.code_location import defs
from tests.support.dagster_home import copy_history
from tests.support.paths import ROOT

# Those whose first ticks have something to do in a fresh sandbox.
JOBS = ("ledger_sync_job", "settlement_ingestion_job", "intake_job", "reconciliation_job")
LIFE_MAX_S = 600.0


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        **dict.fromkeys(VARIABLES, ""),
        "MASQUES_HOME": str(home),
        "MASQUES_SANDBOX": "1",
        "DAGSTER_HOME": str(home / "dagster"),
        "PYTHONPATH": str(ROOT),
    }


def run(home: Path, job: str, *, killed_after_s: float) -> tuple[float, int]:
    """Runs a job by its command; returns how long it lived, and its status."""
    begun_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "masques_pipelines", "job", "execute", "-j", job],
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(min(killed_after_s, LIFE_MAX_S))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    status = process.wait()
    return time.monotonic() - begun_s, status


def stopped(instance: dg.DagsterInstance) -> list[str]:
    """Returns the schedules whose next tick asks for no run."""
    at = datetime.now(UTC) + START_MAX
    names = []
    for each in SCHEDULES:
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=defs.get_repository_def(),
        )
        tick = defs.resolve_schedule_def(each.name).evaluate_tick(context)
        if len(tick.run_requests or ()) != 1:
            names.append(f"{each.name}: {tick.skip_message}")
    return names


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=20)
    asked = parser.parse_args()
    dice, problems, ended = random.Random(asked.seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "dagster").mkdir()
        copy_history(home / "dagster")
        (home / "dagster" / "dagster.yaml").unlink()
        make_home(home / "dagster")
        # The first makes the world and the schema: those after it live for less.
        run(home, JOBS[0], killed_after_s=math.inf)
        life_s = {job: run(home, job, killed_after_s=math.inf)[0] for job in JOBS}
        with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
            number = 0
            while number < asked.size:
                job = dice.choice(JOBS)
                after_s = dice.uniform(0, life_s[job])
                lived_s, status = run(home, job, killed_after_s=after_s)
                if status == 0:
                    # It had less to do than the one before: it is no kill, and the next is earlier.
                    life_s[job], ended = lived_s, ended + 1
                    continue
                found = [f"kill {number}, {job} at {after_s:.1f} s: {s}" for s in stopped(instance)]
                say(f"{number}: {job} at {after_s:.1f} s, status {status}", *found)
                problems += found
                number += 1
            _, status = run(home, JOBS[0], killed_after_s=math.inf)
    if status != 0:
        problems.append(f"the run after them ended with {status}")
    say(f"{asked.size} runs were killed; {ended} more ended before they could be")
    say(*problems or ["each schedule's next tick asked for a run, each time"])
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
