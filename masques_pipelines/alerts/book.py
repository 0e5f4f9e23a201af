"""Remembers which faults are open and who was told, so that each is told once, and once when over.

The book is one file beside Dagster's history, with the messages that wait for their receivers. It
is written before the first is sent and after each that was sent: a process that is killed between
the sending and the writing sends one message again, and never loses one.
"""

import hashlib
import json
import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.message import Message, Since, over, together, told
from masques_pipelines.alerts.outbox import Outbox, Post, Waiting, deliver, put
from masques_pipelines.alerts.rules import Receiver, Rules
from masques_pipelines.whole_file import whole_file

NAME: Final = "alerts.json"
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


def receivers_of(rules: Rules) -> dict[str, Receiver]:
    """Returns the receivers by a key that stays the same while what is said of them does.

    A short hash: an address holds a password.
    """
    return {
        hashlib.sha256(
            f"{each.url} {each.url_file} {each.severity} {each.owner}".encode()
        ).hexdigest()[:8]: each
        for each in rules.to
    }


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


def look(folder: Path, found: Iterable[Fault], rules: Rules, post: Post, now: datetime) -> Book:
    """Compares what is wrong now with the book, and tells what is new and what is over.

    What could not be sent waits for one of the next looks.

    Args:
        folder: Where the book is.
        found: All faults of now.
        rules: Who is told, and when.
        post: Sends one message to one receiver.
        now: The time.
    """
    book = read_book(folder)
    receivers = receivers_of(rules)
    there = {fault.id: fault for fault in found}
    _end(book, there.keys(), now)
    book.ended = [each for each in book.ended if each[0].id not in there]
    for fault in there.values():
        book.open[fault.id] = replace(book.open.get(fault.id, Open(fault, now)), fault=fault)
    for key, receiver in receivers.items():
        _tell_errors(book, key, receiver, rules, now)
    _warn(book, receivers, rules, now)
    book.looked_at = now
    write_book(folder, book)
    deliver(book.outbox, receivers, post, now, keep=lambda: write_book(folder, book))
    write_book(folder, book)
    return book


def _end(book: Book, there: Container[str], now: datetime) -> None:
    """Closes what is over, and writes that to those who were told of it."""
    gone = [book.open.pop(id_) for id_ in list(book.open) if id_ not in there]
    book.ended += [(each.fault, each.first_seen) for each in gone if not each.told]
    for key in sorted({key for each in gone for key in each.told}):
        for group in _by_cause(each for each in gone if key in each.told):
            message = over([_since(each) for each in group], now)
            put(book.outbox, key, Waiting(message, _ids(group), now, now))


def _tell_errors(book: Book, key: str, receiver: Receiver, rules: Rules, now: datetime) -> None:
    news = [
        each
        for each in book.open.values()
        if each.fault.severity == "error" and each.is_news(key, receiver)
    ]
    for group in _by_cause(news):
        message = told([_since(each) for each in group], str(rules.ui or ""))
        put(book.outbox, key, Waiting(message, _ids(group), now, now))
        _mark_told(book, key, group)


def _warn(book: Book, receivers: Mapping[str, Receiver], rules: Rules, now: datetime) -> None:
    """Writes the warnings, together, when they are due."""
    every = timedelta(minutes=rules.warnings_every_minutes)
    is_due = book.warned_at is None or now - book.warned_at >= every
    if not is_due or rules.are_quiet(now):
        return
    for key, receiver in receivers.items():
        news = [
            each
            for each in book.open.values()
            if each.fault.severity == "warning" and each.is_news(key, receiver)
        ]
        ended = [each for each in book.ended if receiver.wants(each[0])]
        if news or ended:
            begun = [_since(each) for each in news]
            message = together(begun, ended, str(rules.ui or ""), now)
            ids = _ids(news) + tuple(fault.id for fault, _ in ended)
            put(book.outbox, key, Waiting(message, ids, now, now))
            _mark_told(book, key, news)
            book.warned_at = now
    book.ended.clear()


def _mark_told(book: Book, key: str, news: Iterable[Open]) -> None:
    for each in news:
        book.open[each.fault.id] = replace(each, told={**each.told, key: each.fault.severity})


def _by_cause(faults: Iterable[Open]) -> Iterator[list[Open]]:
    groups: dict[str, list[Open]] = {}
    for each in faults:
        groups.setdefault(each.fault.cause or f"only {each.fault.id}", []).append(each)
    yield from groups.values()


def _since(known: Open) -> Since:
    return known.fault, known.first_seen


def _ids(faults: Iterable[Open]) -> tuple[str, ...]:
    return tuple(each.fault.id for each in faults)


def _waiting(kept: dict[str, Any]) -> Waiting:
    moments = {name: datetime.fromisoformat(kept[name]) for name in ("made_at", "next_at")}
    return Waiting(Message(**kept["message"]), tuple(kept["ids"]), tries=kept["tries"], **moments)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
