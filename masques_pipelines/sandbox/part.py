"""One part of the sandbox: what it installs, and what `masques demo` shows of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """One part of the sandbox.

    Attributes:
        install: Writes packaged input below the sandbox's folder, re-dated to now, unless it is
            there; returns the line that says where it is.
        shows: What `masques demo` shows at its end: (title, name of a query below sql/).
    """

    install: Callable[[Path], str]
    shows: tuple[tuple[str, str], ...]
