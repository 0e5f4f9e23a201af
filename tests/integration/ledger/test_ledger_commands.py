"""`masques verify` and `masques ledger rebuild` as a person runs them."""

import os
import sys
from pathlib import Path

import pytest

from masques_pipelines.ledger.proofs.suite import PROOFS
from masques_pipelines.settings import VARIABLES
from tests.support import patience
from tests.support.command_line import commands
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT

SMALL_CAPTURE = ROOT / "tests" / "data" / "captures" / "small"


def settings(home: Path) -> dict[str, str]:
    own = {"MASQUES_HOME": str(home), "MASQUES_LEDGER_URL": f"capture://{SMALL_CAPTURE}"}
    return {**os.environ, **dict.fromkeys(VARIABLES, ""), **own}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    copy_migrated(folder / "warehouse")
    url = f"chdb://{folder / 'warehouse'}"
    worker = ("tests.support.sync_worker", str(folder), url, str(SMALL_CAPTURE), "0", "2120")
    done = patience.run([sys.executable, "-m", *worker], env=settings(folder), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


LOST = "ALTER TABLE masques.transactions DELETE WHERE code = 4 SETTINGS mutations_sync = 2"


def test_verify_and_rebuild_from_the_command_line(home: Path) -> None:
    good, lost, bad, rebuilt, renewed = commands(
        settings(home),
        ("verify", "--full"),
        ("sql", "--write", LOST),
        ("verify", "--full", "--seal", "0" * 64),
        ("ledger", "rebuild"),
        ("verify", "--full", "--renew"),
    )
    assert (good.status, good.stderr) == (0, "")
    lines = good.stdout.splitlines()
    assert [line.split()[1] for line in lines[: len(PROOFS)]] == [f"{p.name}:" for p in PROOFS]
    assert all(line.startswith("proved") for line in lines[: len(PROOFS)])

    assert (lost.status, bad.status) == (0, 1)
    assert "FAILED   balance_proof: " in bad.stdout
    assert "the kept digest 0000" in bad.stdout
    assert "USD (difference" in bad.stdout

    *months, accepted = rebuilt.stdout.splitlines()
    assert months[-1] == "1 months, 2,120 rows; now run: masques verify --full"
    assert "2026-11: 2,120 rows swapped in for " in months[-2]
    again = renewed.stdout.splitlines()
    assert all(line.startswith("proved") for line in again[: len(PROOFS)])
    # The statement that deleted the rows is put right, and was accepted by the rebuild.
    assert "masques.transactions: (DELETE WHERE code = 4)" in accepted
    assert [line for line in again if line.startswith("FAILED")] == []
