"""Starts a command beside this process, which ends with it."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

# Hidden option of such a command.
WITH_PARENT: Final = "--with-parent"


def start_beside(*arguments: str, in_own_group: bool = False) -> None:
    """Starts `masques` with these arguments, as long as this process lives.

    Args:
        arguments: A command that takes WITH_PARENT, and its options.
        in_own_group: Whether Ctrl-C in the terminal does not reach it.
    """
    subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-m", "masques_pipelines", *arguments, WITH_PARENT],
        stdin=subprocess.DEVNULL,
        start_new_session=in_own_group,
    )


def parent_is_gone(*, with_parent: bool) -> Callable[[], bool]:
    """Returns what says whether the process that started this one is gone.

    Args:
        with_parent: Whether that matters; else the answer is never yes.
    """
    parent = os.getppid()
    return lambda: with_parent and os.getppid() != parent
