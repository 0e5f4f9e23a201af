"""One line of the doctor: what was looked at, how it is, and what to do."""

from dataclasses import dataclass
from typing import Literal

# good; a warning to look at in time; a fault; or off, where nothing is configured.
Level = Literal["good", "warning", "bad", "off"]


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        name: What was looked at.
        level: How it is.
        text: What was seen.
        what_to_do: The next step; empty when it is good.
    """

    name: str
    level: Level
    text: str
    what_to_do: str = ""

    @property
    def line(self) -> str:
        """For a terminal."""
        advice = f": {self.what_to_do}" if self.what_to_do else ""
        return f"{self.level:8} {self.name:16} {self.text}{advice}"
