"""Dagster's home: one for each MASQUES_HOME, with the project's settings, or with the user's."""

from pathlib import Path

import pytest
import yaml

from masques_pipelines.commands.dagster_home import dagster_home, make_home
from masques_pipelines.settings import project_root


def test_each_home_has_its_own_unless_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path / "a"))
    assert dagster_home({}) == tmp_path / "a" / "dagster"
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path / "b"))
    assert dagster_home({}) == tmp_path / "b" / "dagster"
    assert dagster_home({"DAGSTER_HOME": "/srv/dagster"}) == Path("/srv/dagster")


def test_a_home_has_the_settings_of_a_checkout_and_keeps_its_files_in_itself(
    tmp_path: Path,
) -> None:
    make_home(tmp_path / "home")
    made = yaml.safe_load((tmp_path / "home" / "dagster.yaml").read_text())
    checkout = yaml.safe_load((project_root() / "dagster.yaml").read_text())
    assert made == {
        name: value
        for name, value in checkout.items()
        if name not in ("storage", "local_artifact_storage")
    }
    workspaces = [
        yaml.safe_load((folder / "workspace.yaml").read_text())["load_from"][0]["python_module"]
        for folder in (tmp_path / "home", project_root())
    ]
    for name in ("module_name", "location_name"):
        assert workspaces[0][name] == workspaces[1][name]


def test_an_older_file_of_ours_is_replaced_and_a_users_stays(tmp_path: Path) -> None:
    make_home(tmp_path)
    file = tmp_path / "dagster.yaml"
    first = file.read_text()
    file.write_text(first + "\nnux:\n  enabled: true\n")
    make_home(tmp_path)
    assert file.read_text() == first
    own = "storage:\n  postgres:\n    postgres_url: {env: DAGSTER_POSTGRES}\n"
    file.write_text(own)
    make_home(tmp_path)
    assert file.read_text() == own
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dagster.yaml", "workspace.yaml"]
