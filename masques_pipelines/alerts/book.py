"""Remembers which faults are open and who was told: one file beside Dagster's history.

It holds the messages that wait for their receivers, too.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.message import Message, Since
from masques_pipelines.alerts.outbox import Outbox, Waiting
from masques_pipelines.alerts.rules import Receiver
from masques_pipelines.whole_file import whole_file

NAME: Final = "alerts.json"
# A hundred faults and what waits for three receivers.
_BOOK_BYTES: Final = 256 << 10
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Open:
    """A fault that is open.

    Attributes:
        fault: As it was last found.
        first_seen: When it was first found.
        told: Which receivers were told, by key, and as what.
    """

    fault: Fault
    first_seen: datetime
    told: Mapping[str, Severity] = field(default_factory=dict)

    def is_news(self, key: str, receiver: Receiver) -> bool:
        """Returns whether a receiver wants it and does not know: not at all, or as a warning."""
        known = self.told.get(key)
        is_worse = (known, self.fault.severity) == ("warning", "error")
        return (known is None or is_worse) and receiver.wants(self.fault)


@dataclass
class Book:
    """What is known from one look to the next.

    Attributes:
        open: The open faults, by id.
        ended: Warnings that ended before they were told, and when they began.
        outbox: Messages that wait for their receivers.
        warned_at: When warnings were last told.
        looked_at: When the last look ended.
    """

    open: dict[str, Open] = field(default_factory=dict)
    ended: list[Since] = field(default_factory=list)
    outbox: Outbox = field(default_factory=dict)
    warned_at: datetime | None = None
    looked_at: datetime | None = None


def read_book(folder: Path) -> Book:
    """Returns the book; a new one where there is none, or it is damaged."""
    try:
        kept = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Book(
            open={
                each["fault"]["id"]: Open(
                    Fault(**each["fault"]),
                    datetime.fromisoformat(each["first_seen"]),
                    dict(each["told"]),
                )
                for each in kept["open"]
            },
            ended=[
                (Fault(**fault), datetime.fromisoformat(since)) for fault, since in kept["ended"]
            ],
            outbox={
                key: [_waiting(each) for each in queue] for key, queue in kept["outbox"].items()
            },
            warned_at=_moment(kept["warned_at"]),
            looked_at=_moment(kept["looked_at"]),
        )
    except FileNotFoundError:
        return Book()
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Told twice is better than not at all.
        logger.warning("%s: it is damaged (%s) and begun anew", folder / NAME, error)
        return Book()


def write_book(folder: Path, book: Book) -> None:
    """Writes the book, whole or not at all."""
    content = {
        "open": [asdict(each) for each in book.open.values()],
        "ended": [(asdict(fault), since) for fault, since in book.ended],
        "outbox": {
            key: [asdict(each) for each in queue] for key, queue in book.outbox.items() if queue
        },
        "warned_at": book.warned_at,
        "looked_at": book.looked_at,
    }
    with whole_file(folder / NAME) as file:
        file.write(json.dumps(content, default=datetime.isoformat).encode())


class KeptBook:
    """The book of a folder; while the folder does not take it, this process remembers it.

    A full disk, a quota or a lost right is no reason to tell nobody. What the file does not know is
    told again by the next process.

    Attributes:
        folder: Where the book is.
        problem: Why it could not be written last, or ''.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.problem = ""
        self._unwritten: Book | None = None

    def read(self) -> Book:
        """Returns the book as it was last known."""
        return read_book(self.folder) if self._unwritten is None else self._unwritten

    def write(self, book: Book) -> None:
        """Writes the book, or else remembers it."""
        try:
            write_book(self.folder, book)
        except OSError as error:
            if self._unwritten is None:
                logger.warning("%s: it cannot be written (%s)", self.folder / NAME, error)
            self._unwritten, self.problem = book, error.strerror or str(error)
        else:
            self._unwritten, self.problem = None, ""


def problem_of_writing(folder: Path) -> str:
    """Returns why a book could not be written in a folder now, or ''; leaves nothing behind."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(bytes(_BOOK_BYTES))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _waiting(kept: dict[str, Any]) -> Waiting:
    moments = {name: datetime.fromisoformat(kept[name]) for name in ("made_at", "next_at")}
    return Waiting(Message(**kept["message"]), tuple(kept["ids"]), tries=kept["tries"], **moments)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
