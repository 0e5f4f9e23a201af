"""Remembers which faults are open and who was told, so that each is told once, and once when over.

The book is one file beside Dagster's history. It is written after each message that was sent, so a
process that is killed between the two sends one message again, and never loses one.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.message import Message, over, together, told
from masques_pipelines.alerts.rules import Rules
from masques_pipelines.whole_file import whole_file

NAME: Final = "alerts.json"
logger = logging.getLogger(__name__)
# Sends a message to those who want one of these faults; returns whether it went to all of them.
Send = Callable[[Message, tuple[Fault, ...]], bool]


@dataclass(frozen=True)
class Open:
    """A fault that is open.

    Attributes:
        fault: As it was last found.
        first_seen: When it was first found.
        is_told: Whether somebody was told.
    """

    fault: Fault
    first_seen: datetime
    is_told: bool = False


@dataclass
class Book:
    """What is known from one look to the next.

    Attributes:
        open: The open faults, by id.
        ended: Warnings that ended before they were told, and when they began.
        warned_at: When warnings were last told.
        looked_at: When the last look ended.
    """

    open: dict[str, Open] = field(default_factory=dict)
    ended: list[tuple[Fault, datetime]] = field(default_factory=list)
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
                    bool(each["is_told"]),
                )
                for each in kept["open"]
            },
            ended=[
                (Fault(**fault), datetime.fromisoformat(since)) for fault, since in kept["ended"]
            ],
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
        "open": [
            {**asdict(each), "first_seen": each.first_seen.isoformat()}
            for each in book.open.values()
        ],
        "ended": [(asdict(fault), since.isoformat()) for fault, since in book.ended],
        "warned_at": book.warned_at and book.warned_at.isoformat(),
        "looked_at": book.looked_at and book.looked_at.isoformat(),
    }
    with whole_file(folder / NAME) as file:
        file.write(json.dumps(content).encode())


def look(folder: Path, found: Iterable[Fault], rules: Rules, send: Send, now: datetime) -> Book:
    """Compares what is wrong now with the book, and tells what is new and what is over.

    What could not be sent is tried again by the next look.

    Args:
        folder: Where the book is.
        found: All faults of now.
        rules: Who is told, and when.
        send: Sends one message.
        now: The time.
    """
    book = read_book(folder)
    ui = str(rules.ui or "")
    there = {fault.id: fault for fault in found}
    for id_, known in list(book.open.items()):
        if id_ not in there:
            _end(book, known, send, now)
            write_book(folder, book)
    book.ended = [each for each in book.ended if each[0].id not in there]
    for fault in there.values():
        known = book.open.get(fault.id, Open(fault, now))
        # What was a warning and is an error now is told again.
        is_told = known.is_told and (known.fault.severity, fault.severity) != ("warning", "error")
        book.open[fault.id] = replace(known, fault=fault, is_told=is_told)
        if not is_told and fault.severity == "error":
            sent = send(told(fault, known.first_seen, ui), (fault,))
            book.open[fault.id] = replace(book.open[fault.id], is_told=sent)
            write_book(folder, book)
    _warn(book, rules, send, now)
    book.looked_at = now
    write_book(folder, book)
    return book


def _end(book: Book, known: Open, send: Send, now: datetime) -> None:
    if not known.is_told:
        book.ended.append((known.fault, known.first_seen))
        del book.open[known.fault.id]
    elif send(over(known.fault, known.first_seen, now), (known.fault,)):
        del book.open[known.fault.id]


def _warn(book: Book, rules: Rules, send: Send, now: datetime) -> None:
    """Tells the warnings together, when they are due."""
    waiting = [
        each for each in book.open.values() if not each.is_told and each.fault.severity == "warning"
    ]
    every = timedelta(minutes=rules.warnings_every_minutes)
    is_due = book.warned_at is None or now - book.warned_at >= every
    if not (waiting or book.ended) or not is_due or rules.are_quiet(now):
        return
    begun = [(each.fault, each.first_seen) for each in waiting]
    faults = tuple(fault for fault, _ in (*begun, *book.ended))
    if send(together(begun, book.ended, str(rules.ui or ""), now), faults):
        for each in waiting:
            book.open[each.fault.id] = replace(each, is_told=True)
        book.ended.clear()
        book.warned_at = now


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
