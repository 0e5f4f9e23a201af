"""Each fault is told once, and once when over, to each receiver, whatever fails on the way."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from masques_pipelines.alerts.book import NAME, KeptBook, read_book
from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.look import look
from masques_pipelines.alerts.message import Message
from masques_pipelines.alerts.outbox import AGE_MAX, Waiting
from masques_pipelines.alerts.rules import Quiet, Receiver, Rules
from masques_pipelines.alerts.runbook import runbook

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rules(*urls: str, **more: Any) -> Rules:
    to = [{"url": f"json://{each}"} for each in urls or ("a",)]
    return Rules.model_validate({"to": to, "warnings_every_minutes": 60, **more})


HOURLY = rules()


def fault(name: str, severity: Severity = "error", cause: str = "") -> Fault:
    title, page = f"{name} is red", f"runs/{name}"
    return Fault(name, severity, title, "why", "payments", "freshness", page, cause)


class Receivers:
    """Keeps what each is sent; those that are down take nothing."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.taken: dict[str, list[Waiting]] = {}
        self.down: set[str] = set()
        self.asked = 0

    def __call__(self, receiver: Receiver, waiting: Waiting) -> str:
        self.asked += 1
        name = str(receiver.url).removeprefix("json://")
        if name in self.down:
            return "it is down"
        self.messages.append(waiting.message)
        self.taken.setdefault(name, []).append(waiting)
        return ""

    def titles(self) -> list[str]:
        titles = [each.title.removeprefix("Masques: ") for each in self.messages]
        self.messages.clear()
        return titles


def test_an_error_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    told = Receivers()
    for minute in range(5):
        look(KeptBook(tmp_path), [fault("a")], HOURLY, told, NOW + minute * MINUTE)
    (message,) = told.messages
    assert message.severity == "error"
    assert "since: 2026-11-28 12:00 UTC" in message.body
    assert f"next: {runbook()['freshness'].what_to_do}" in message.body
    assert message.body.endswith("runbook: masques runbook freshness\nid: a")
    told.messages.clear()
    for minute in (5, 6):
        look(KeptBook(tmp_path), [], HOURLY, told, NOW + minute * MINUTE)
    (message,) = told.messages
    assert (message.title, message.severity) == ("Masques: over: a is red", None)
    assert message.body.startswith("It lasted 5 min, since 2026-11-28 12:00 UTC.")


def test_warnings_are_told_together_and_not_in_quiet_hours(tmp_path: Path) -> None:
    quiet = Quiet.model_validate({"from": "22:00", "to": "07:00", "timezone": "Europe/Berlin"})
    by = rules(quiet=quiet)
    told = Receivers()
    look(KeptBook(tmp_path), [fault("a", "warning")], by, told, NOW)
    assert told.titles() == ["a is red"]
    both = [fault("a", "warning"), fault("b", "warning"), fault("c", "warning")]
    look(KeptBook(tmp_path), both, by, told, NOW + 10 * MINUTE)
    look(KeptBook(tmp_path), both[:2], by, told, NOW + 59 * MINUTE)
    assert told.titles() == []
    look(KeptBook(tmp_path), both[:2], by, told, NOW + 61 * MINUTE)
    (message,) = told.messages
    assert message.title == "Masques: b is red"
    assert "over again: c is red, after 51 min (id: c)" in message.body
    told.messages.clear()
    night = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)
    look(KeptBook(tmp_path), [*both[:2], fault("d", "warning"), fault("e")], by, told, night)
    assert told.titles() == ["e is red"]  # an error does not wait
    morning = datetime(2026, 11, 29, 6, 1, tzinfo=UTC)
    look(KeptBook(tmp_path), [*both[:2], fault("d", "warning"), fault("e")], by, told, morning)
    assert told.titles() == ["d is red"]


def test_a_warning_that_becomes_an_error_is_told_again(tmp_path: Path) -> None:
    told = Receivers()
    for severity in ("warning", "error", "error", "warning"):
        look(KeptBook(tmp_path), [fault("a", severity)], HOURLY, told, NOW)
    assert [each.severity for each in told.messages] == ["warning", "error"]


def test_a_damaged_book_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"open": [{}]}')
    told = Receivers()
    look(KeptBook(tmp_path), [fault("a")], HOURLY, told, NOW)
    assert told.titles() == ["a is red"]
    assert list(read_book(tmp_path).open) == ["a"]


def test_what_begins_of_one_cause_is_one_message_and_so_is_its_end(tmp_path: Path) -> None:
    told = Receivers()
    three = [fault(name, cause="run 1") for name in ("a", "b", "c")]
    other = fault("d", cause="run 2")
    look(KeptBook(tmp_path), [*three, other], HOURLY, told, NOW)
    first, second = told.messages
    assert first.title == "Masques: a is red; b is red; c is red"
    assert [f"\nid: {name}" in first.body for name in "abcd"] == [True, True, True, False]
    assert second.title == "Masques: d is red"
    told.messages.clear()
    look(KeptBook(tmp_path), [three[0], other], HOURLY, told, NOW + 5 * MINUTE)
    assert told.titles() == ["over: b is red; c is red"]
    look(KeptBook(tmp_path), [fault("a", cause="run 3"), other], HOURLY, told, NOW + 6 * MINUTE)
    assert told.titles() == []  # a later run says the same
    look(KeptBook(tmp_path), [], HOURLY, told, NOW + 7 * MINUTE)
    assert told.titles() == ["over: a is red", "over: d is red"]


def test_a_receiver_that_refuses_holds_up_no_other_and_is_asked_less_often(tmp_path: Path) -> None:
    told, both = Receivers(), rules("a", "b")
    told.down = {"a"}
    tried = []
    for minute in range(130):
        before = told.asked
        look(KeptBook(tmp_path), [fault("x")], both, told, NOW + minute * MINUTE)
        tried += [minute] * (told.asked - before - (minute == 0))
    assert told.titles() == ["x is red"]  # b, once
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123]
    told.down = set()
    for minute in range(130, 200):
        look(KeptBook(tmp_path), [], both, told, NOW + minute * MINUTE)
    assert told.titles() == ["over: x is red", "x is red", "over: x is red"]
    assert [len(each) for each in told.taken.values()] == [2, 2]


def test_what_is_not_taken_for_a_day_is_given_up(tmp_path: Path) -> None:
    told = Receivers()
    told.down = {"a"}
    for hour in range(int(AGE_MAX / timedelta(hours=1)) + 3):
        look(KeptBook(tmp_path), [fault("x")], HOURLY, told, NOW + hour * 60 * MINUTE)
    assert read_book(tmp_path).outbox == {}
    asked = told.asked
    look(KeptBook(tmp_path), [fault("x")], HOURLY, told, NOW + timedelta(days=3))
    assert told.asked == asked


def test_a_receiver_that_is_new_is_told_of_what_is_open(tmp_path: Path) -> None:
    told = Receivers()
    look(KeptBook(tmp_path), [fault("x")], rules(), told, NOW)
    look(KeptBook(tmp_path), [fault("x")], rules("a", "b"), told, NOW + MINUTE)
    assert {name: len(each) for name, each in told.taken.items()} == {"a": 1, "b": 1}


def test_who_was_told_of_an_error_is_told_that_it_is_over(tmp_path: Path) -> None:
    """Also one who wants errors only, when it was a warning last."""
    told = Receivers()
    errors = Rules.model_validate({"to": [{"url": "json://a", "severity": "error"}]})
    for severity in ("error", "warning"):
        look(KeptBook(tmp_path), [fault("x", severity)], errors, told, NOW)
    look(KeptBook(tmp_path), [], errors, told, NOW)
    assert told.titles() == ["x is red", "over: x is red"]


NAMES = ("a", "b", "c")
URLS = ("one", "two", "three")
FOUND = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(("error", "warning")), st.sampled_from(("", "run 1", "run 2"))),
)
LOOKS = st.lists(st.tuples(FOUND, st.sets(st.sampled_from(URLS)), st.booleans()), max_size=12)


@settings(deadline=None)
@given(LOOKS, st.integers(0, 40))
def test_each_receiver_has_each_message_once_and_in_order_whatever_fails(
    looks: Sequence[tuple[dict[str, tuple[Severity, str]], set[str], bool]], minutes: int
) -> None:
    """A receiver that never fails says what the others have to have in the end.

    The book can be written at some looks only.
    """
    told, by = Receivers(), rules("sound", *URLS, warnings_every_minutes=0)
    with TemporaryDirectory() as folder:
        at, kept = NOW, KeptBook(Path(folder))
        for found, down, is_writable in looks:
            told.down = down
            hinder(Path(folder), is_hindered=not is_writable)
            faults = [fault(name, *each) for name, each in found.items()]
            look(kept, faults, by, told, at)
            at += minutes * MINUTE
        told.down = set()
        hinder(Path(folder), is_hindered=False)
        for _ in range(3 * len(looks) + 2):
            look(kept, [], by, told, at)
            at += timedelta(hours=1)
        written = read_book(Path(folder))
        assert (written.open, written.outbox) == ({}, {})
    sound = told.taken.pop("sound", [])
    assert len({(each.message, each.made_at) for each in sound}) == len(sound) or minutes == 0
    for taken in (told.taken.get(url, []) for url in URLS):
        assert sorted(map(text, taken)) == sorted(map(text, sound))
        for name in NAMES:
            of_one = [text(each) for each in taken if name in each.ids]
            assert of_one == [text(each) for each in sound if name in each.ids]
    for name in NAMES:  # found, over, found, over
        kinds = ["over" in ended(each, name) for each in sound if name in each.ids]
        assert not any(kinds[:1])
        assert kinds[-1:] in ([], [True])


def hinder(folder: Path, *, is_hindered: bool) -> None:
    """Puts a folder where the book is written before it is whole, or takes it away."""
    part = folder / f".{NAME}.{os.getpid()}.part"
    if is_hindered and not part.exists():
        part.mkdir()
    elif not is_hindered and part.exists():
        part.rmdir()


def text(waiting: Waiting) -> str:
    return f"{waiting.made_at} {waiting.message.title} {waiting.message.body}"


def ended(waiting: Waiting, name: str) -> str:
    """Returns "over" when a message tells that a fault is over."""
    whole = f"{waiting.message.title}\n{waiting.message.body}"
    is_over = waiting.message.severity is None or f"over again: {name} is red" in whole
    return "over" if is_over else "found"
