"""Runs one Dagster command in this process and exits with 130 or 143 when a signal ended it.

Started by `commands/dagster.py` in place of `python -m dagster`, whose status is 1 however a run
ends. There is no second process: nothing is left behind when this one is killed.
"""

import contextlib
import logging
import os
import runpy
import signal
import sys
from typing import Final

SIGNAL_STATUS: Final = 128


def main() -> None:
    """Runs Dagster with this process's arguments."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # Dagster replaces the handlers many times; the number of each signal is written here all the
    # same.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    status = _run_dagster()
    with contextlib.suppress(BlockingIOError):
        received = os.read(reader, 1)[0]
        if status != 0:
            # The run is closed and so are the resources. What is left is a thread in an engine
            # call that did not end when it was cancelled; a regular exit would wait for it.
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(SIGNAL_STATUS + received)
    sys.exit(status)


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
