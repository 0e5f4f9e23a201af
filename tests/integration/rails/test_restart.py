"""Killed at any step and started again: the same rows as without."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from masques_pipelines.rails.catalog import open_rail, place
from masques_pipelines.rails.ingest import ingest
from masques_pipelines.rails.lightning.rail import CAIP2
from masques_pipelines.rails.protocol import Observation
from masques_pipelines.rails.revisions import (
    append,
    changes_of,
    current_revisions,
    open_settlements,
)
from masques_pipelines.settings import project_root, read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support import patience
from tests.support.bolt11 import challenge, line_of
from tests.support.fake_lnd import MACAROON, FakeLnd, payment_hash, running_lnd
from tests.support.killed_run import POINTS, ROWS
from tests.support.migrated_folder import copy_migrated

NOW_S = int(time.time()) - 86_400
NOW = datetime.now(UTC)
STAGES = 2


def set_stage(lnd: FakeLnd, stage: int) -> None:
    """The rail's side of the story: first all is open or held, then all is decided."""
    if stage == 0:
        for name in ("a", "b", "c"):
            lnd.add(name, 21_000)
            lnd.hold(name, 21_000)
        lnd.settle("a")
    else:
        lnd.settle("b")
        lnd.cancel("c")


def environment(home: Path, lnd: FakeLnd, macaroon: Path) -> dict[str, str]:
    return {
        "MASQUES_HOME": str(home),
        "MASQUES_LND_URL": lnd.url,
        "MASQUES_LND_MACAROON_FILE": str(macaroon),
    }


def run(point: str, settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return patience.run(
        [sys.executable, "-m", "tests.support.killed_run", point],
        cwd=project_root(),
        env={**os.environ, **settings},
    )


def test_killed_at_every_step_the_rows_are_those_of_an_undisturbed_run(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    macaroon = tmp_path / "readonly.macaroon"
    macaroon.write_bytes(MACAROON)
    home = tmp_path / "home"
    copy_migrated(home / "warehouse")
    with running_lnd(NOW_S) as lnd:
        own = environment(home, lnd, macaroon)
        settings = read_settings(own)
        line_of(settings, challenge(payment_hash("b"), 21_000, NOW_S))
        steps = iter(POINTS)
        for stage in range(STAGES):
            set_stage(lnd, stage)
            for point in [next(steps), next(steps)]:
                killed = run(point, own)
                assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
            # An undisturbed run over the same rail, in this process's engine.
            for name in ("journal", "lightning"):
                known = partial(open_settlements, warehouse, "lightning", CAIP2["mainnet"])
                with open_rail(settings, place(settings, name), known) as rail:
                    ingest(warehouse, rail)
        finished = run("never", own)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout == warehouse.text(ROWS, fmt="JSONEachRow")
    assert finished.stdout.count("\n") == 6  # a; b announced, held, settled; c held, canceled


def test_an_insert_that_is_sent_twice_writes_once(warehouse: Warehouse, tmp_path: Path) -> None:
    with running_lnd(NOW_S) as lnd:
        set_stage(lnd, 0)
        macaroon = tmp_path / "readonly.macaroon"
        macaroon.write_bytes(MACAROON)
        settings = read_settings(environment(tmp_path, lnd, macaroon))
        with open_rail(settings, place(settings, "lightning"), lambda **_: []) as rail:
            seen: list[Observation] = list(rail.fetch(None).observations)
    now = NOW  # one moment for both, as the driver's own repetition has
    changes = changes_of(seen, current_revisions(warehouse, [each.settlement_id for each in seen]))
    append(warehouse, changes, now=now)
    append(warehouse, changes, now=now)
    assert warehouse.scalar("SELECT count() FROM masques.settlements") == 3
    again = changes_of(seen, current_revisions(warehouse, [each.settlement_id for each in seen]))
    assert again.revisions == []
