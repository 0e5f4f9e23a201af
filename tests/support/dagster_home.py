"""Gives processes of a test a Dagster home whose history is made: a new one takes 5 s of a core."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.paths import ROOT

# Made by `masques`, when it finds none.
_MADE = ".made"
_CONFIGURATION = "telemetry: {enabled: false}\n"


def copy_history(home: Path) -> None:
    """Makes a folder a Dagster home, with an empty history; one that is a home already stays."""
    if not (home / _MADE).exists():
        shutil.copytree(_template(), home, dirs_exist_ok=True)


@functools.cache
def _template() -> Path:
    home = Path(tempfile.mkdtemp(prefix="dagster-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "dagster.yaml").write_text(_CONFIGURATION)
    subprocess.run(
        [sys.executable, "-m", "dagster", "instance", "info"],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"},
        check=True,
        capture_output=True,
    )
    (home / _MADE).touch()
    return home
