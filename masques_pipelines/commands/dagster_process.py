"""Runs one Dagster command in this process and exits with 130 or 143 when a signal ended it.

A run goes to the queue of a daemon that is alive (defs/queued_runs.py), else it is made here; with
`--here` before the command in any case.

Started by `commands/dagster.py` in place of `python -m dagster`, whose status is 1 however a run
ends. There is no second process: nothing is left behind when this one is killed.
"""

import importlib
import logging
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Final

from masques_pipelines.commands.dagster_home import make_history
from masques_pipelines.defs import MODULE
from masques_pipelines.defs.run_log import last_line
from masques_pipelines.warehouse.interrupts import first_signal, watch_signals

SIGNAL_STATUS: Final = 128
HERE: Final = "--here"
# By name: the commands are below what imports Dagster.
_QUEUE: Final = "masques_pipelines.defs.queued_runs"


def main() -> None:
    """Runs Dagster with this process's arguments."""
    watch_signals()
    status = _run()
    received = first_signal()
    if received is not None and status != 0:
        # The run is closed and so are the resources. What is left is a thread in an engine call
        # that did not end when it was cancelled; a regular exit would wait for it.
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(SIGNAL_STATUS + received)
    sys.exit(status)


def _run() -> int:
    home = os.environ.get("DAGSTER_HOME")
    if home and not {"-h", "--help"} & set(sys.argv):
        make_history(Path(home), _open_history)
    if sys.argv[1:2] == [HERE]:
        del sys.argv[1]
    else:
        status = _handed_over()
        if status is not None:
            return status
    status = _run_dagster()
    line = last_line(status)
    if line:
        print(line, file=sys.stderr)  # noqa: T201 - behind what Dagster prints
    return status


def _open_history() -> bool:
    try:
        with importlib.import_module("dagster").DagsterInstance.get():
            return True
    except Exception:  # noqa: BLE001 - whatever it is, the command meets it again and says it
        return False


def _handed_over() -> int | None:
    if os.environ.get("DAGSTER_MODULE_NAME") != MODULE:
        return None
    queue = importlib.import_module(_QUEUE)
    status: int | None = queue.handed_over(sys.argv[1:])
    return status


def _run_dagster() -> int:
    try:
        runpy.run_module("dagster", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)  # noqa: T201 - as the interpreter would
            return 1
        return ended.code or 0
    except KeyboardInterrupt:
        return SIGNAL_STATUS + signal.SIGINT
    return 0


if __name__ == "__main__":
    main()
