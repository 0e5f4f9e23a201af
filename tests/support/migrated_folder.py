"""Gives an embedded engine, or a server of the tests, a folder that has the whole schema already.

A first migration takes three seconds of a core; one is made for a whole test process and copied.
Nothing in an engine's folder names the folder itself. The copy is not stamped: it becomes the
sandbox's or production's with its first use.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.patience import run_python

# In a process of its own: an engine's folder is whole when its process has ended.
_MIGRATE = """
import sys
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin
from masques_pipelines.warehouse.connect import open_warehouse
with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin()) as warehouse:
    migrate(warehouse)
"""


def copy_migrated(folder: Path) -> None:
    """Makes the folder one of an engine with the schema and no rows; one that is there stays."""
    if not folder.exists():
        shutil.copytree(_template(), folder, symlinks=True)


@functools.cache
def _template() -> Path:
    home = Path(tempfile.mkdtemp(prefix="migrated-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    done = run_python(_MIGRATE, str(home), cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return home / "warehouse"
