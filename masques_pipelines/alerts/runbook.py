"""Reads the runbook: what each check and alert means when it is red, and what to do."""

import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

_HEADING: Final = re.compile(r"^## (\w+)\n", re.MULTILINE)
_DO: Final = "Do: "


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        name: Of the check, or of the kind of alert.
        means: What is so when it is red.
        what_to_do: The next steps.
    """

    name: str
    means: str
    what_to_do: str

    @property
    def markdown(self) -> str:
        """For the UI."""
        return f"{self.means}\n\n**Do:** {self.what_to_do}\n\n`{self.place}`"

    @property
    def place(self) -> str:
        """Where a person finds it."""
        return f"masques runbook {self.name}"


@cache
def runbook() -> Mapping[str, Entry]:
    """Returns the entries by name.

    Raises:
        ValueError: An entry does not say what to do.
    """
    file = importlib.resources.files("masques_pipelines.alerts") / "runbook.md"
    parts = _HEADING.split(file.read_text(encoding="utf-8"))[1:]
    entries = (_entry(name, text) for name, text in zip(parts[::2], parts[1::2], strict=True))
    return {entry.name: entry for entry in entries}


def _entry(name: str, text: str) -> Entry:
    body = text.split("\n# ", 1)[0]  # the heading of the next part
    means, separator, what_to_do = body.partition(f"\n{_DO}")
    if not separator:
        raise ValueError(f"runbook.md: {name} has no paragraph that begins with {_DO!r}")
    return Entry(name, _joined(means), _joined(what_to_do))


def _joined(text: str) -> str:
    return " ".join(text.split())
