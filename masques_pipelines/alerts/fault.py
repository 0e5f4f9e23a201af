"""What is wrong, as it is told to a person."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        id: The same for as long as it is the same fault.
        severity: An error is told at once, a warning with others.
        title: What is wrong, in some words.
        detail: The reason, as the check, run or tick gave it; may be empty.
        owner: Who looks after it.
        entry: Name of its entry in the runbook.
        page: Where the UI shows it, below the UI's address.
        cause: Faults that begin together and have the same are told in one message.
    """

    id: str
    severity: Severity
    title: str
    detail: str
    owner: str
    entry: str
    page: str
    cause: str = ""
