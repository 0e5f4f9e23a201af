"""Fixtures that open the real embedded engine.

Here: one engine for the whole test process (it allows one folder at a time, and every reopening
leaks threads), emptied for each test.
Not here: servers and fakes (tests/support).
A re-run starts in new temporary folders.
"""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from masques_pipelines.settings import VARIABLES, Settings, read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.fresh_schema import adopt_schema, drop_schema, fresh_schema
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import ROOT
from tests.support.patience import factor

# Folders of engines in memory spare half of the time that tests take on a busy disk.
MEMORY = Path("/dev/shm")
MEMORY_MIN_BYTES = 8 << 30
SMALL_CAPTURE = Path(__file__).parent / "data" / "captures" / "small"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Orders the tests of a file, and scales the time after which one counts as hanging.

    Those that drop the schema come first: between two others each would cost a migration. For the
    scale see tests/support/patience.py.
    """
    files = {path: place for place, path in enumerate(dict.fromkeys(each.path for each in items))}
    items.sort(key=lambda each: (files[each.path], not _drops_schema(each)))
    usual_s = float(config.getini("timeout"))
    for item in items:
        marker = item.get_closest_marker("timeout")
        limit_s = float(marker.args[0]) if marker else usual_s
        item.add_marker(pytest.mark.timeout(limit_s * factor()), append=False)


def _drops_schema(item: pytest.Item) -> bool:
    return "empty_warehouse" in getattr(item, "fixturenames", ())


def pytest_configure() -> None:
    """Takes Ctrl-C as usual, puts temporary folders into memory and looks less often for garbage.

    A shell's background jobs, and their children, ignore Ctrl-C. A folder that TMPDIR names stays.
    """
    if "TMPDIR" not in os.environ and _has_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    # Dagster's modules are a million objects: going through them took a tenth of a test's time.
    gc.set_threshold(100_000, 50, 100)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _has_memory() -> bool:
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_MIN_BYTES


@pytest.fixture(autouse=True)
def _no_instance_of_another_test() -> Iterator[None]:
    """Dagster remembers the storage of an instance that is gone, and the next load asks it."""
    yield
    loaded = sys.modules.get("dagster._core.storage.defs_state.base")
    if loaded is not None:
        loaded._current_storage.set(None)  # noqa: SLF001 - it has no public name


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Blanks every setting, so that neither the shell nor a developer's .env reaches a test.

    A test that names no home has one of the tests': in the checkout's own, a job with real settings
    left the mark of production, and every command after `make test` refused to be the sandbox.
    """
    for name in VARIABLES:
        os.environ[name] = ""
    os.environ["MASQUES_HOME"] = str(tmp_path_factory.mktemp("nobody"))
    # Commands that tests start compile the package once, not each: 0.4 s of a core.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    mark = ROOT / "var" / "production"
    was_marked = mark.exists()
    yield
    assert mark.exists() == was_marked, f"{mark}: a test used the checkout's own home"


@pytest.fixture(scope="session")
def engine_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the test process's engine, which stays open to the end."""
    home = tmp_path_factory.mktemp("home")
    copy_migrated(home / "warehouse")
    settings = read_settings({"MASQUES_HOME": str(home)})
    with open_warehouse(settings, origin=Origin(job="tests")) as opened:
        adopt_schema(opened)
        yield settings


@pytest.fixture
def empty_warehouse(engine_settings: Settings) -> Iterator[Warehouse]:
    """A warehouse without any of our databases."""
    with open_warehouse(engine_settings, origin=Origin(job="tests")) as opened:
        drop_schema(opened)
        yield opened


@pytest.fixture
def warehouse(engine_settings: Settings) -> Iterator[Warehouse]:
    """A warehouse with the whole schema and no rows."""
    with open_warehouse(engine_settings, origin=Origin(job="tests")) as opened:
        fresh_schema(opened)
        yield opened


@pytest.fixture
def small_capture() -> Path:
    """A capture of a real server: 2,120 events, 122 accounts, and the server's own balances."""
    return SMALL_CAPTURE
