"""The code location as Dagster loads it: without an environment, without opening anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion

from masques_pipelines.defs.table_asset import SCHEMA_MIGRATIONS
from tests.support.code_location import defs
from tests.support.paths import ROOT
from tests.support.patience import run, run_python

LOADS_WITHOUT_SIDE_EFFECTS = """
import builtins, importlib, os, pkgutil, socket, sys
# Importing may read code and nothing else: no environment, no network, no open data file.
opened = []
real_open = builtins.open
def watched_open(file, *args, **kwargs):
    opened.append(str(file))
    return real_open(file, *args, **kwargs)
import dagster  # Dagster itself may do as it likes
builtins.open = watched_open
def refuse(*args, **kwargs):
    raise AssertionError("the network is used at import")
socket.socket.connect = refuse
before = dict(os.environ)
import masques_pipelines
for module in pkgutil.walk_packages(masques_pipelines.__path__, "masques_pipelines."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert dict(os.environ) == before, "the environment was changed"
def read_by_us():
    names = [name for name in opened if "site-packages" not in name and "/lib/python" not in name]
    return [name for name in names if not name.endswith((".py", ".pyc")) and "zoneinfo" not in name]
assert not read_by_us(), f"read at import: {read_by_us()}"
assert "chdb" not in sys.modules, "the embedded engine is loaded at import"
assert "tigerbeetle" not in sys.modules, "the ledger's native library is loaded at import"

# Loading the location reads the schema's files, and only those.
from masques_pipelines.definitions import defs
loaded = defs()
assert dict(os.environ) == before, "the environment was changed"
assert all(os.path.basename(os.path.dirname(n)) == "sql" for n in read_by_us()), read_by_us()
assert "chdb" not in sys.modules, "the embedded engine is loaded with the definitions"
print(len(list(loaded.resolve_all_asset_keys())))
"""


def in_a_fresh_process(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python with an empty environment, in an empty folder."""
    return run_python(code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})


def test_loads_in_a_fresh_process_with_an_empty_environment(tmp_path: Path) -> None:
    loaded = in_a_fresh_process(LOADS_WITHOUT_SIDE_EFFECTS, tmp_path)

    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout) >= 3
    assert list(tmp_path.iterdir()) == []  # nothing was written either


def test_the_definitions_are_valid() -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_table_asset_depends_on_the_root_asset() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        if key.path[0] == "masques":
            ancestors = dg.AssetSelection.assets(key).upstream().resolve(graph)
            assert SCHEMA_MIGRATIONS in ancestors, (
                f"{key.to_user_string()} could run without tables"
            )


def test_every_job_starts_with_the_root_asset() -> None:
    for job in defs.resolve_all_job_defs():
        # This one looks at Dagster's own history only.
        if not job.name.startswith("__") and job.name != "housekeeping_job":
            assert SCHEMA_MIGRATIONS in job.asset_layer.selected_asset_keys, job.name


def test_every_asset_is_found_by_its_name_and_says_who_owns_it() -> None:
    for spec in defs.resolve_all_asset_specs():
        database, table = spec.key.path
        folder = ROOT / "masques_pipelines" / "defs" / (spec.group_name or "")
        home = folder / f"{table}.py" if database == "masques" else None
        assert home is None or home.is_file(), f"{table} is not in {home}"
        assert spec.owners, f"{table} has no owner"
        assert spec.description, f"{table} has no description"


def test_no_resource_has_a_field_that_the_ui_would_show() -> None:
    for name, resource in (defs.resources or {}).items():
        assert not type(resource).model_fields, f"{name} would show its settings in the UI"


def test_assets_jobs_and_schedules_are_as_reviewed(snapshot: SnapshotAssertion) -> None:
    specs = {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "owners": sorted(spec.owners),
            "kinds": sorted(spec.kinds),
        }
        for spec in defs.resolve_all_asset_specs()
        if spec.key.path[0] != "masques_marts"  # derived from their SQL: test_lineage.py
    }
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        for job in defs.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    schedules = {
        schedule.name: [
            schedule.job_name,
            schedule.cron_schedule,
            schedule.execution_timezone,
            schedule.default_status.value,
        ]
        for schedule in defs.schedules or ()
        if isinstance(schedule, dg.ScheduleDefinition)
    }
    assert json.dumps([specs, jobs, schedules], indent=1, sort_keys=True) == snapshot


@pytest.mark.parametrize("command", [["-w", "workspace.yaml"], []])
def test_dagster_validates_the_location_from_either_file(
    tmp_path: Path, command: list[str]
) -> None:
    # A copy of the two files: Dagster writes its temporary home beside them.
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    validated = run(
        [sys.executable, "-m", "dagster", "definitions", "validate", *command],
        cwd=tmp_path,
        env=environ,
    )
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "Validation successful for code location masques_pipelines." in (
        validated.stdout + validated.stderr
    )
