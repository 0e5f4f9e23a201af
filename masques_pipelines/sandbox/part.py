"""What one part of the demo is.

Here: the shape that every part fills in.
Not here: the parts (demo_<part>.py) and the running of them (demo.py).
A re-run does nothing: the type is immutable.
"""

from collections.abc import Callable
from dataclasses import dataclass

from masques_pipelines.settings import Settings


@dataclass(frozen=True)
class Part:
    """One source of the demo.

    Attributes:
        prepare: Lays down packaged input, re-dated to now, unless an earlier demo did; returns the
            line that says where it is.
        shows: What to show at the end: (title, name of a query below sql/).
    """

    prepare: Callable[[Settings], str]
    shows: tuple[tuple[str, str], ...]
