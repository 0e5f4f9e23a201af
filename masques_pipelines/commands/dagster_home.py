"""The Dagster home of a MASQUES_HOME: its configuration, its workspace and its run history.

Dagster takes all three from the working folder or from DAGSTER_HOME. Two environments of one
checkout then share one history (seen: the row counts of one on the pages of the other), and an
installed wheel has none of the files. So each home has its own, whatever the working folder.
"""

import contextlib
import fcntl
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from masques_pipelines.settings import home_folder, project_root
from masques_pipelines.whole_file import whole_file

WORKSPACE: Final = "workspace.yaml"
_INSTANCE: Final = "dagster.yaml"
# A file that begins so is ours and follows the release; any other is the user's and stays.
_OURS: Final = "# Written by `masques`. To keep settings of your own, delete this line."
_WORKSPACE_TEXT: Final = """\
load_from:
  - python_module:
      module_name: masques_pipelines.definitions
      location_name: masques_pipelines
"""
# Those paragraphs keep the files of a checkout together; without them they lie in the home itself.
_OF_A_CHECKOUT: Final = re.compile(r"^(storage|local_artifact_storage):$", re.MULTILINE)


def dagster_home(environ: Mapping[str, str]) -> Path:
    """Returns DAGSTER_HOME, or the folder `dagster` of MASQUES_HOME."""
    return Path(environ.get("DAGSTER_HOME") or home_folder() / "dagster")


def make_home(home: Path) -> None:
    """Writes Dagster's configuration and workspace where there is none, or an older one of ours."""
    home.mkdir(parents=True, exist_ok=True)
    _write(home / _INSTANCE, _instance_text())
    _write(home / WORKSPACE, _WORKSPACE_TEXT)


def make_history(home: Path, make: Callable[[], bool]) -> None:
    """Lets one command at a time make Dagster's history where there is none.

    Commands that are the first at once collide in making its SQLite tables. Of eight homes that
    four used at once, five were broken for good: "alembic_version has more than one head present".

    Args:
        home: Dagster's.
        make: Opens the history, which makes it, and returns whether it could.
    """
    made = home / ".made"
    if made.exists():
        return
    with contextlib.suppress(OSError), (home / ".lock").open("w") as lock:
        # A home that is not to be written: Dagster says so in its words.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            return
        if make():  # else the command itself says what is wrong
            made.touch()


def _write(file: Path, text: str) -> None:
    whole = f"{_OURS}\n{text}"
    with contextlib.suppress(FileNotFoundError):
        there = file.read_text(encoding="utf-8")
        if there == whole or not there.startswith(_OURS):
            return
    with whole_file(file) as made:
        made.write(whole.encode())


def _instance_text() -> str:
    packaged = resources.files("masques_pipelines").joinpath("_dagster.yaml")
    text = (packaged if packaged.is_file() else project_root() / _INSTANCE).read_text("utf-8")
    # The first paragraph says what a checkout's file is.
    _head, *paragraphs = text.split("\n\n")
    return "\n\n".join(each for each in paragraphs if not _OF_A_CHECKOUT.search(each))
