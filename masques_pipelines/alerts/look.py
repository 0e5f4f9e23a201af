"""Compares what is wrong now with the book: each fault is told once, and once when it is over.

The book is written before the first message is sent and after each that was sent: a process that
is killed between the sending and the writing sends one message again, and never loses one.
"""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from masques_pipelines.alerts.book import Book, KeptBook, Open
from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.message import Since, over, together, told
from masques_pipelines.alerts.outbox import Post, Waiting, deliver, put
from masques_pipelines.alerts.rules import Receiver, Rules


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


def look(kept: KeptBook, found: Iterable[Fault], rules: Rules, post: Post, now: datetime) -> Book:
    """Compares what is wrong now with the book, and tells what is new and what is over.

    What could not be sent waits for one of the next looks.

    Args:
        kept: Keeps the book.
        found: All faults of now.
        rules: Who is told, and when.
        post: Sends one message to one receiver.
        now: The time.
    """
    book = kept.read()
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
    kept.write(book)
    deliver(book.outbox, receivers, post, now, keep=lambda: kept.write(book))
    kept.write(book)
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
