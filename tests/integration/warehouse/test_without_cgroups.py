"""On a machine without cgroups a command's stderr stays clean: the real engine, in a namespace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT
from tests.support.patience import run

HIDE = 'mount -t tmpfs tmpfs /sys/fs/cgroup && exec "$@"'
BARE = "import chdb.session; chdb.session.Session(); print(1)"


@pytest.fixture
def without_cgroups(small_capture: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs Python where no cgroup files are; where this user may not, the test is skipped."""
    hidden = ("unshare", "--mount", "sh", "-c", HIDE, "sh")
    if not shutil.which("unshare") or subprocess.run((*hidden, "true"), check=False).returncode:
        pytest.skip("this user may make no namespace of mounts")

    def run_there(*arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
        settings = {
            "MASQUES_HOME": str(home),
            "MASQUES_LEDGER_URL": f"capture://{small_capture}",
            "PYTHONPATH": str(ROOT),
        }
        return run((*hidden, sys.executable, *arguments), cwd=home, env={**os.environ, **settings})

    return run_there


def test_the_engines_noise_stays_off_stderr(
    without_cgroups: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    copy_migrated(tmp_path / "warehouse")
    asked = without_cgroups("-m", "masques_pipelines", "sql", "SELECT 1 AS one", home=tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "one" in asked.stdout
    # The engine itself is not quiet there: if it ever is, there is nothing to hold back.
    assert "Cannot use cgroups reader" in without_cgroups("-c", BARE, home=tmp_path).stderr
