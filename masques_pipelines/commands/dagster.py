"""Runs Dagster's own commands with everything set: `masques dev`, `masques asset …` and others."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from masques_pipelines.commands.beside import start_beside
from masques_pipelines.commands.dagster_home import (
    WORKSPACE,
    dagster_home,
    make_history,
    make_home,
)
from masques_pipelines.commands.dagster_process import HERE
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.defs import MODULE
from masques_pipelines.sandbox.stand_ins import prepare_sources
from masques_pipelines.settings import Settings, project_root
from masques_pipelines.warehouse.connect import embedded_folder
from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.serve.address import find_server

_PROCESS: Final = "masques_pipelines.commands.dagster_process"
# These take the code location from the environment.
_NEED_MODULE: Final = ("asset", "job")
# These read a file; told the module, `dev` would give the location another name.
_NEED_WORKSPACE: Final = frozenset({"dev", "definitions"})
# Of `masques dev` on a world: how often something goes wrong.
_EVERY: Final = "--every"
_HELP_OPTIONS: Final = {"-h", "--help"}
_LOCATION_OPTIONS: Final = {"-m", "--module-name", "-f", "--python-file", "-w", "--workspace"}


def dagster_arguments(arguments: Sequence[str], home: Path) -> list[str]:
    """Returns the whole command line that runs Dagster with its home."""
    command = arguments[0] if arguments else ""
    # `dev` starts processes of its own and ends them itself.
    module = _PROCESS if command in _NEED_MODULE else "dagster"
    workspace = (
        ("-w", str(home / WORKSPACE))
        if command in _NEED_WORKSPACE and not _LOCATION_OPTIONS & set(arguments)
        else ()
    )
    return [sys.executable, "-m", module, *arguments, *workspace]


def dagster_environment(arguments: Sequence[str], home: Path) -> dict[str, str]:
    """Returns the environment that Dagster needs for a command, what is set already first."""
    # Telemetry must be off before dagster.yaml is read. The classic commands are marked as
    # superseded by `dg`, which asks the network.
    defaults = {
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONWARNINGS": "ignore:Function `,ignore:Parameter `",
    }
    if arguments and arguments[0] in _NEED_MODULE and not _LOCATION_OPTIONS & set(arguments):
        defaults["DAGSTER_MODULE_NAME"] = MODULE
    return {**defaults, **os.environ, "DAGSTER_HOME": str(home)}


def _prepared(
    arguments: Sequence[str], variables: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Returns the command line and the environment of a command, and makes its home."""
    home = dagster_home({**os.environ, **variables})
    environment = {**dagster_environment(arguments, home), **variables}
    command = dagster_arguments(arguments, home)
    if not _HELP_OPTIONS & set(arguments):
        make_home(home)
        if _PROCESS not in command:  # which makes it by itself, and spares a process of 2 s
            make_history(home, lambda: _open_history(home, environment))
    return command, environment


def _open_history(home: Path, environment: Mapping[str, str]) -> bool:
    info = dagster_arguments(["instance", "info"], home)
    done = subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        info, cwd=home, env=environment, capture_output=True, check=False
    )
    return done.returncode == 0


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
    command, environment = _prepared(arguments, variables)
    if _PROCESS in command:
        command.insert(command.index(_PROCESS) + 1, HERE)
    process = subprocess.Popen(  # noqa: S603 - this interpreter, fixed arguments
        command,
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
    command, environment = _prepared(arguments, {})
    os.chdir(project_root())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell without job control starts what runs behind it (`masques dev &`) that way, and
        # Dagster gives SIGTERM the same meaning: only SIGKILL would end it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, command, environment)  # noqa: S606 - this interpreter


def _taken(arguments: list[str], option: str) -> str | None:
    """Takes an option of ours, and its value, out of what Dagster is given."""
    if option not in arguments:
        return None
    place = arguments.index(option)
    if place + 1 == len(arguments):
        raise click.UsageError(f"{option} needs a length of time, as in {option} 10m")
    value = arguments[place + 1]
    del arguments[place : place + 2]
    return value


def _let_live(every: str | None) -> None:
    """Starts what keeps the clock of the sandbox's world at now, as long as this process lives."""
    start_beside("sandbox", "live", *([_EVERY, every] if every is not None else []))


def _serve(settings: Settings) -> None:
    """Starts what serves the embedded warehouse as long as this process lives."""
    folder = embedded_folder(settings)
    if folder is not None and find_server(side_folder(folder)) is None:
        # Ctrl-C ends the runs first, and they still write then.
        start_beside("serve", in_own_group=True)


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
        rest = list(arguments)
        if not _HELP_OPTIONS & set(arguments):
            settings = command_settings()
            every = _taken(rest, _EVERY) if name == "dev" else None
            if every is not None and not settings.sandbox_folder:
                raise click.UsageError(f"{_EVERY} is for the sandbox, and this is production")
            if name == "dev" and settings.sandbox_folder:
                prepare_sources(settings)
                _let_live(every)
            if name == "dev":
                _serve(settings)
        _hand_over([name, *rest])

    return run
