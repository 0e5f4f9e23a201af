"""Runs Dagster's own commands with everything set: `masques dev`, `masques asset …` and others."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.settings import project_root

MODULE: Final = "masques_pipelines.definitions"
_PROCESS: Final = "masques_pipelines.commands.dagster_process"
# These take the code location from the environment. `dev` and `definitions` read pyproject.toml;
# told the module as well, `dev` would give the location another name.
_NEED_MODULE: Final = ("asset", "job")
_HELP_OPTIONS: Final = {"-h", "--help"}
_LOCATION_OPTIONS: Final = {"-m", "--module-name", "-f", "--python-file", "-w", "--workspace"}


def dagster_arguments(arguments: Sequence[str]) -> list[str]:
    """Returns the whole command line that runs Dagster."""
    # `dev` starts processes of its own and ends them itself.
    module = _PROCESS if arguments and arguments[0] in _NEED_MODULE else "dagster"
    return [sys.executable, "-m", module, *arguments]


def dagster_environment(arguments: Sequence[str]) -> dict[str, str]:
    """Returns the environment that Dagster needs for a command, what is set already first."""
    # Schedules and sensors of a plain checkout need a home; dagster.yaml keeps all its files in
    # .dagster/. Telemetry must be off before dagster.yaml is read. The classic commands are marked
    # as superseded by `dg`, which ignores dagster.yaml without a home and asks the network.
    defaults = {
        "DAGSTER_HOME": str(project_root()),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONWARNINGS": "ignore:Function `,ignore:Parameter `",
    }
    if arguments and arguments[0] in _NEED_MODULE and not _LOCATION_OPTIONS & set(arguments):
        defaults["DAGSTER_MODULE_NAME"] = MODULE
    return {**defaults, **os.environ}


def _make_history(environment: Mapping[str, str]) -> None:
    """Lets one command at a time make Dagster's history where there is none.

    Commands that are the first at once collide in making its SQLite tables. Of eight homes that
    four used at once, five were broken for good: "alembic_version has more than one head present".
    """
    folder = Path(environment["DAGSTER_HOME"]) / ".dagster"
    made = folder / "made"
    if made.exists():
        return
    try:
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made.exists():
                return
            done = subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
                dagster_arguments(["instance", "info"]),
                cwd=project_root(),
                env=environment,
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:  # else the command itself says what is wrong
                made.touch()
    except OSError:  # a home that is not there or not to be written: Dagster says so in its words
        return


@contextlib.contextmanager
def running_dagster(
    arguments: Sequence[str], variables: Mapping[str, str]
) -> "Iterator[subprocess.Popen[str]]":
    """Runs a Dagster command whose output the caller reads line by line, to its end.

    An interrupt is handed on to it and waited for: no run goes on behind a command that has ended.

    Args:
        arguments: Dagster's.
        variables: Set in its environment, over what is there.
    """
    environment = {**dagster_environment(arguments), **variables}
    _make_history(environment)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
        dagster_arguments(arguments),
        cwd=project_root(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        # Ctrl-C reaches a whole process group. It shall reach this process once, by us.
        start_new_session=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise


def _hand_over(arguments: Sequence[str]) -> None:
    environment = dagster_environment(arguments)
    _make_history(environment)
    os.chdir(project_root())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell without job control starts what runs behind it (`masques dev &`) that way, and
        # Dagster gives SIGTERM the same meaning: only SIGKILL would end it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, dagster_arguments(arguments), environment)  # noqa: S606 - this interpreter


def handed_over(name: str, help_text: str) -> click.Command:
    """Returns a command that runs Dagster's command of the same name, whatever its arguments."""

    @click.command(
        name=name,
        help=help_text,
        short_help=help_text,
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def run(arguments: tuple[str, ...]) -> None:
        if not _HELP_OPTIONS & set(arguments):
            command_settings()
        _hand_over([name, *arguments])

    return run
