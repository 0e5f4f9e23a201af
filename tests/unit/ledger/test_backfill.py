"""Reading history as transfers: the same events as by change events, wherever a hold is due."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from masques_pipelines.ledger import backfill
from masques_pipelines.ledger.capture.source import read_capture
from masques_pipelines.ledger.reader import EventReader
from masques_pipelines.ledger.records import (
    EVENT_TYPE_EXPIRED,
    PageError,
    Records,
    kept_of,
    timestamps_ns,
)
from masques_pipelines.ledger.source import Page
from tests.support.captures import tiled
from tests.support.memory_ledger import MemoryLedger, event

SECOND_NS = 10**9
HELD = {"type": 1, "transfer_flags": 2}


@dataclass
class Asked(MemoryLedger):
    """A ledger whose transfers are quick; it notes what was asked and how much came of it.

    Questions of a bounded range are left out: they look for late imports (test_reader.py).
    """

    has_quick_transfers: bool = True
    questions: list[tuple[str, int]] = field(default_factory=list)

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        page = super().change_events(timestamp_min, timestamp_max, limit)
        if not timestamp_max:
            self.questions.append(("change events", len(page.data) // 384))
        return page

    def transfers(self, timestamp_min: int) -> Page:
        page = super().transfers(timestamp_min)
        self.questions.append(("transfers", len(page.data) // 128))
        return page


def read(source: MemoryLedger) -> Records:
    return np.concatenate([batch.events for batch in EventReader(source, cursor_ns=0).batches(99)])


def payments(start_ns: int, count: int) -> Iterator[Records]:
    return (event(start_ns + number) for number in range(count))


def expiry(held_ns: int, time_ns: int) -> Records:
    return event(time_ns, type=EVENT_TYPE_EXPIRED, transfer_id=held_ns, transfer_timestamp=held_ns)


def test_without_expiries_a_history_is_read_by_transfers_from_its_second_page_on() -> None:
    ledger = Asked(page_events=3, page_transfers=8)
    # A hold without a timeout never expires; neither do the payments.
    ledger.add(event(1, **HELD), *payments(2, 15))

    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert ledger.questions == [
        ("change events", 3),  # the source checks the layout with the first page
        ("transfers", 8),
        ("transfers", 5),
        ("transfers", 0),  # the end of the transfers is not the end of the ledger:
        ("change events", 0),  # only an empty page of events is
    ]


def test_where_a_hold_is_due_change_events_are_read_until_it_has_expired() -> None:
    ledger = Asked(page_events=700)
    due_ns = 1 + SECOND_NS
    ledger.add(
        event(1, transfer_timeout=1, **HELD),
        *payments(2, 1499),
        *payments(due_ns - 900, 900),
        *payments(due_ns, 40),  # the pulse is 40 events late
        expiry(1, due_ns + 40),
        *payments(due_ns + 41, 1200),
    )
    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert ledger.questions == [
        ("change events", 700),
        ("transfers", 2940),  # 1,700 are before the hold is due
        ("change events", 256),  # from there, a few: the expiry is among them
        ("transfers", 0),  # the page's other 984 followed it; nothing new after them
        ("change events", 0),
    ]


def test_an_expiry_that_keeps_waiting_is_searched_for_in_larger_steps() -> None:
    ledger = Asked(page_events=2000)
    due_ns = 1 + SECOND_NS
    ledger.add(
        *payments(2, 3000),
        event(1, transfer_timeout=1, **HELD),
        *payments(due_ns, 4000),
        expiry(1, due_ns + 4000),
        event(due_ns + 4001),
    )
    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert [count for kind, count in ledger.questions if kind == "change events"] == [
        2000, 256, 1024, 2000, 722, 0,
    ]  # fmt: skip


def test_after_the_last_transfer_only_change_events_are_asked_for() -> None:
    ledger = Asked(page_events=3)
    ledger.add(*(event(time, transfer_timeout=1, **HELD) for time in range(1, 6)))
    ledger.add(*(expiry(number, 2 * SECOND_NS + number) for number in range(1, 6)))

    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert ledger.questions == [
        ("change events", 3),
        ("transfers", 2),
        ("transfers", 0),
        ("change events", 3),
        ("change events", 2),
        ("change events", 0),
    ]


def test_a_hold_that_was_posted_or_voided_in_time_is_not_due() -> None:
    ledger = Asked(page_events=3)
    ledger.add(
        event(1, transfer_timeout=1, **HELD),
        event(2, transfer_timeout=1, **HELD),
        event(3, type=2, transfer_flags=4, transfer_pending_id=1),
        event(4, type=3, transfer_flags=8, transfer_pending_id=2),
        *payments(3 * SECOND_NS, 20),
    )
    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert ledger.questions == [
        ("change events", 3),
        ("transfers", 21),
        ("transfers", 0),
        ("change events", 0),
    ]


def test_where_expiries_are_dense_transfers_are_tried_ever_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "WAIT_PAGES_MAX", 4)
    ledger = Asked(page_events=10, page_transfers=10)
    for number in range(100):  # each hold expires right before the next is made
        made_ns = 1 + number * 2 * SECOND_NS
        ledger.add(event(made_ns, transfer_timeout=1, **HELD))
        ledger.add(expiry(made_ns, made_ns + SECOND_NS))

    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    kinds = "".join("T" if kind == "transfers" else "." for kind, _count in ledger.questions)
    # A page of transfers covers two of events. Then one more is waited for, two, four and four.
    assert kinds == ".T...T....T......T......T."


def test_more_open_holds_than_are_followed_leave_the_rest_to_change_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "OPEN_HOLDS_MAX", 4)
    ledger = Asked(page_events=10)
    holds = [event(time, transfer_timeout=1, **HELD) for time in range(1, 6)]
    ledger.add(*holds, *payments(6, 30), *(expiry(n, 2 * SECOND_NS + n) for n in range(1, 6)))

    assert read(ledger).tobytes() == kept_of(ledger.events).tobytes()
    assert {kind for kind, _count in ledger.questions} == {"change events"}


def test_a_transfer_that_change_events_do_not_show_stops_the_reading() -> None:
    # As of a ledger whose first half was written by a release without change events.
    ledger = Asked(page_events=3)
    ledger.add(*payments(1, 3), event(4, transfer_timeout=1, **HELD))
    ledger.add(*payments(5 + SECOND_NS, 30), expiry(4, SECOND_NS + 40))
    whole = ledger.events

    def lose_an_event(changing: MemoryLedger) -> None:
        is_by_transfers = changing.calls == 2
        times = timestamps_ns(whole)
        changing.events = whole if is_by_transfers else whole[times != SECOND_NS + 8]

    ledger.before_call = lose_an_event
    with pytest.raises(PageError) as raised:
        read(ledger)
    assert str(raised.value) == (
        "memory://ledger: change events and transfers after 1000000006 up to 1000000010 are not "
        "the same (3 and 4): a ledger that was written by a release before 0.16.29, or one of an "
        "unknown release, cannot be copied whole; see docs/tigerbeetle-versions.md"
    )


def test_a_run_that_resumes_does_not_know_the_open_holds_and_reads_change_events() -> None:
    ledger = Asked(page_events=30)
    ledger.add(*payments(1, 50))
    batches = EventReader(ledger, cursor_ns=20).batches()
    assert sum(len(batch.events) for batch in batches) == 30
    assert {kind for kind, _count in ledger.questions} == {"change events"}


@pytest.mark.parametrize("stretch", [1, 40, 1000])
def test_a_real_ledgers_events_are_the_same_either_way(
    small_capture: Path, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    # 12,720 events of every type; 402 expiries, many of them amid other business.
    monkeypatch.setattr(backfill, "STRETCH_EVENTS_MIN", stretch)
    events = tiled(np.array(read_capture(small_capture).change_events), 6)
    ledger = Asked(events=events, page_events=200, page_transfers=600)

    assert read(ledger).tobytes() == kept_of(events).tobytes()
    by_transfers = sum(count for kind, count in ledger.questions if kind == "transfers")
    by_events = sum(count for kind, count in ledger.questions if kind == "change events")
    assert by_transfers > 6000
    assert by_events > 3000
