"""Limits of the time that a test waits for a process, a server or a condition.

A limit only ends a test that hangs; it is never what a test shows. It is generous, and one factor
scales every limit on a machine slower than expected: TEST_PATIENCE=5 make test.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

# A process of ours ends in seconds on a quiet machine. 120 s was too short at a load of 20.
_PROCESS_S = 600.0
# What a server or a thread does at once on a quiet machine.
_MOMENT_S = 120.0


def factor() -> float:
    """Returns what TEST_PATIENCE multiplies limits by."""
    return float(os.environ.get("TEST_PATIENCE") or 1)


def process_limit_s() -> float:
    """Returns how long a process may take."""
    return _PROCESS_S * factor()


def moment_s() -> float:
    """Returns how long something may take that takes no time on a quiet machine."""
    return _MOMENT_S * factor()


def give_up(what: str, limit_s: float) -> None:
    """Fails the test, saying that time was the reason."""
    pytest.fail(
        f"{what} took longer than {limit_s:g} s: it hangs, or the machine is busy "
        "(TEST_PATIENCE=5 makes every limit five times as long)"
    )


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until the condition holds."""
    end_s = time.monotonic() + moment_s()
    while not condition():
        if time.monotonic() > end_s:
            give_up(f"waiting for {what}", moment_s())
        time.sleep(0.01)


def finish(process: "subprocess.Popen[str]", text: str | None = None) -> tuple[str, str]:
    """Waits for the end of a process and returns what it wrote; kills one that does not end."""
    try:
        return process.communicate(text, timeout=process_limit_s())
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        give_up(f"the process {process.args!r}", process_limit_s())
        raise


def run(
    command: Sequence[str | Path],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end, whatever its exit status."""
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        out, err = finish(process)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_python(code: str, *arguments: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """Runs Python code in a process of its own."""
    return run([sys.executable, "-c", code, *arguments], **settings)
