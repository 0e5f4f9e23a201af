"""Keeps a warehouse served: starts the process that does, again when it is killed, and ends it."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from masques_pipelines.warehouse.embedded import side_folder
from masques_pipelines.warehouse.serve.address import Address, find_server, last_address

_PROCESS: Final = "masques_pipelines.warehouse.serve.process"
POLL_S: Final = 0.2
# A process that lives shorter than this is started again after a pause, each twice as long.
SHORT_LIFE_S: Final = 10.0
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 30.0
END_WAIT_S: Final = 15.0
logger = logging.getLogger(__name__)


def keep_served(
    folder: Path, *, port: int, is_over: Callable[[], bool], ready: Callable[[Address], None]
) -> None:
    """Serves the warehouse until the end is asked for; a signal ends it too.

    Args:
        folder: The embedded engine's data.
        port: On loopback; 0: the one of before, so that what was configured goes on working.
        is_over: Asked several times a second whether to end.
        ready: Called each time when a process began to answer.
    """
    side = side_folder(folder)
    pause_s = PAUSE_FIRST_S
    while not is_over():
        before = last_address(side)
        wanted = port or (before.port if before is not None else 0)
        began_s = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - this interpreter, a folder and a number
            [sys.executable, "-m", _PROCESS, str(folder), str(wanted)],
            stdin=subprocess.PIPE,
            # Ctrl-C reaches a whole process group; this process ends its child itself.
            start_new_session=True,
        )
        try:
            _wait(process, side, is_over=is_over, ready=ready)
        finally:
            _end(process)
        if is_over():
            return
        lived_s = time.monotonic() - began_s
        pause_s = PAUSE_FIRST_S if lived_s >= SHORT_LIFE_S else min(pause_s * 2, PAUSE_MAX_S)
        logger.warning(
            "the process that served %s ended (%s): it is started again in %.1f s",
            folder,
            _how(process.returncode),
            pause_s,
        )
        until_s = time.monotonic() + pause_s
        while time.monotonic() < until_s and not is_over():
            time.sleep(POLL_S)


def _wait(
    process: "subprocess.Popen[bytes]",
    side: Path,
    *,
    is_over: Callable[[], bool],
    ready: Callable[[Address], None],
) -> None:
    is_told = False
    while process.poll() is None and not is_over():
        if not is_told:
            address = find_server(side)
            if address is not None and address.pid == process.pid:
                ready(address)
                is_told = True
        time.sleep(POLL_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends the process: what runs is finished within some seconds."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(END_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _how(status: int) -> str:
    return f"status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
