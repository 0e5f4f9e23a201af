"""Each fault is told once, and once when it is over, whatever fails on the way."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from masques_pipelines.alerts.book import NAME, look, read_book
from masques_pipelines.alerts.fault import Fault, Severity
from masques_pipelines.alerts.message import Message
from masques_pipelines.alerts.rules import Quiet, Rules
from masques_pipelines.alerts.runbook import runbook

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURLY = Rules(warnings_every_minutes=60)


def fault(name: str, severity: Severity = "error") -> Fault:
    return Fault(name, severity, f"{name} is red", "why", "payments", "freshness", f"runs/{name}")


class Receiver:
    """Keeps what it is sent; fails when it is told to."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.is_down = False

    def __call__(self, message: Message, faults: tuple[Fault, ...]) -> bool:
        del faults
        if not self.is_down:
            self.messages.append(message)
        return not self.is_down

    def titles(self) -> list[str]:
        titles = [each.title.removeprefix("Masques: ") for each in self.messages]
        self.messages.clear()
        return titles


def test_an_error_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    told = Receiver()
    for minute in range(5):
        look(tmp_path, [fault("a")], HOURLY, told, NOW + minute * MINUTE)
    (message,) = told.messages
    assert message.severity == "error"
    assert "since: 2026-11-28 12:00 UTC" in message.body
    assert f"next: {runbook()['freshness'].what_to_do}" in message.body
    assert message.body.endswith("runbook: masques runbook freshness\nid: a")
    told.messages.clear()
    for minute in (5, 6):
        look(tmp_path, [], HOURLY, told, NOW + minute * MINUTE)
    (message,) = told.messages
    assert (message.title, message.severity) == ("Masques: over: a is red", None)
    assert message.body.startswith("It lasted 5 min, since 2026-11-28 12:00 UTC.")


def test_warnings_are_told_together_and_not_in_quiet_hours(tmp_path: Path) -> None:
    rules = Rules(
        warnings_every_minutes=60,
        quiet=Quiet.model_validate({"from": "22:00", "to": "07:00", "timezone": "Europe/Berlin"}),
    )
    told = Receiver()
    look(tmp_path, [fault("a", "warning")], rules, told, NOW)
    assert told.titles() == ["a is red"]
    both = [fault("a", "warning"), fault("b", "warning"), fault("c", "warning")]
    look(tmp_path, both, rules, told, NOW + 10 * MINUTE)
    look(tmp_path, both[:2], rules, told, NOW + 59 * MINUTE)
    assert told.titles() == []
    look(tmp_path, both[:2], rules, told, NOW + 61 * MINUTE)
    (message,) = told.messages
    assert message.title == "Masques: b is red"
    assert "over again: c is red, after 51 min (id: c)" in message.body
    told.messages.clear()
    night = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)
    look(tmp_path, [*both[:2], fault("d", "warning"), fault("e")], rules, told, night)
    assert told.titles() == ["e is red"]  # an error does not wait
    morning = datetime(2026, 11, 29, 6, 1, tzinfo=UTC)
    look(tmp_path, [*both[:2], fault("d", "warning"), fault("e")], rules, told, morning)
    assert told.titles() == ["d is red"]


def test_a_warning_that_becomes_an_error_is_told_again(tmp_path: Path) -> None:
    told = Receiver()
    for severity in ("warning", "error", "error", "warning"):
        look(tmp_path, [fault("a", severity)], HOURLY, told, NOW)
    assert [each.severity for each in told.messages] == ["warning", "error"]


def test_a_damaged_book_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"open": [{}]}')
    told = Receiver()
    look(tmp_path, [fault("a")], HOURLY, told, NOW)
    assert told.titles() == ["a is red"]
    assert list(read_book(tmp_path).open) == ["a"]


NAMES = ("a", "b", "c")
LOOKS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(("error", "warning"))),
        st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(LOOKS)
def test_whatever_fails_what_is_so_is_known_in_the_end(
    looks: Sequence[tuple[dict[str, Severity], bool]],
) -> None:
    told = Receiver()
    at_once = Rules(warnings_every_minutes=0)
    with TemporaryDirectory() as folder:
        known: Counter[str] = Counter()

        def at(found: dict[str, Severity], minute: int) -> None:
            faults = [fault(name, severity) for name, severity in found.items()]
            look(Path(folder), faults, at_once, told, NOW + minute * MINUTE)
            for message in told.messages:
                for name in NAMES:
                    text = f"{message.title}\n{message.body}"
                    if f"over: {name} is red" in text or f"over again: {name} is red" in text:
                        known[name] = 0
                    elif f"\nid: {name}" in text:
                        known[name] = 1
            told.messages.clear()

        for minute, (found, is_down) in enumerate(looks):
            told.is_down = is_down
            at(found, minute)
        told.is_down = False
        last = looks[-1][0] if looks else {}
        at(last, 100)
        assert {name for name in NAMES if known[name]} == set(last)
        at(last, 101)
        at({}, 102)
        assert not any(known.values())
        at({}, 103)
        assert read_book(Path(folder)).open == {}
