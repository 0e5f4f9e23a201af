"""The cursor rules of one run, on a ledger that changes while it is read."""

from collections.abc import Iterator

import numpy as np
import pytest

from masques_pipelines.ledger.reader import Batch, EventReader
from masques_pipelines.ledger.records import EVENT_DTYPE, timestamps_ns
from masques_pipelines.read_ahead import read_ahead
from tests.support.memory_ledger import MemoryLedger, event

PENDING, EXPIRED, IMPORTED = {"type": 1}, {"type": 4}, {"transfer_flags": 256}


def read_times(ledger: MemoryLedger, *, cursor_ns: int = 0, batch_events: int = 10) -> list[int]:
    """Returns the times that one run hands out, in order."""
    batches = EventReader(ledger, cursor_ns=cursor_ns).batches(batch_events)
    return [int(time) for batch in batches for time in timestamps_ns(batch.events)]


def test_a_short_page_is_not_the_end() -> None:
    # A development server returns 1,016 events at most and says nothing of it.
    ledger = MemoryLedger(page_events=2)
    ledger.add(*(event(time) for time in range(1, 8)))

    assert read_times(ledger) == [1, 2, 3, 4, 5, 6, 7]


def test_an_empty_ledger_gives_one_last_empty_batch() -> None:
    (batch,) = EventReader(MemoryLedger(), cursor_ns=0).batches()
    assert (len(batch.events), batch.is_last) == (0, True)


def test_reading_starts_after_the_cursor() -> None:
    ledger = MemoryLedger()
    ledger.add(event(5), event(6), event(7))
    assert read_times(ledger, cursor_ns=6) == [7]


def test_an_import_that_lands_behind_an_expiry_is_read() -> None:
    # The hold of 1 expires at 10, the page ends there. Then 5 is imported, and 12 happens.
    ledger = MemoryLedger(page_events=2)
    ledger.add(event(1, **PENDING), event(10, **EXPIRED))

    def write_meanwhile(changing: MemoryLedger) -> None:
        if changing.calls == 2:
            changing.add(event(5, **IMPORTED), event(12))

    ledger.before_call = write_meanwhile
    assert read_times(ledger) == [1, 10, 5, 12]


def test_what_landed_late_is_handed_out_before_the_transfer_that_will_be_the_cursor() -> None:
    # Killed between two inserts, the next run resumes at the newest transfer: 5 must be in by then.
    ledger = MemoryLedger(page_events=2)
    ledger.add(event(1, **PENDING), event(10, **EXPIRED))
    ledger.before_call = lambda changing: (
        changing.add(event(5, **IMPORTED), event(12)) if changing.calls == 2 else None
    )
    batches = list(EventReader(ledger, cursor_ns=0).batches(batch_events=1))

    assert [timestamps_ns(batch.events).tolist() for batch in batches] == [[1, 10], [5, 12], []]


def test_pages_of_nothing_but_expiries_are_passed_and_their_gap_read_again() -> None:
    # 24,567 expiries came in one pulse on a real server: many pages without any transfer.
    ledger = MemoryLedger(page_events=2)
    ledger.add(event(1, **PENDING), *(event(time, **EXPIRED) for time in (10, 11, 12, 13, 14)))

    def write_meanwhile(changing: MemoryLedger) -> None:
        if changing.calls == 4:  # after 10 to 13 were read
            changing.add(*(event(time, **IMPORTED) for time in (3, 4, 5)), event(20))

    ledger.before_call = write_meanwhile
    times = read_times(ledger)

    assert sorted(times) == [1, 3, 4, 5, 10, 11, 12, 13, 14, 20]
    assert len(times) == len(set(times))  # nothing is handed out twice
    assert times.index(5) < times.index(20)


def test_expiries_at_the_end_of_a_run_are_read_again_by_the_next() -> None:
    ledger = MemoryLedger()
    ledger.add(event(1, **PENDING), event(10, **EXPIRED))
    first = read_times(ledger)
    ledger.add(event(5, **IMPORTED))  # between two runs

    # The next run's cursor is the newest event in the target that is no expiry.
    assert (first, read_times(ledger, cursor_ns=1)) == ([1, 10], [5, 10])


def test_batches_are_cut_by_size_and_marked_at_the_end() -> None:
    ledger = MemoryLedger(page_events=3)
    ledger.add(*(event(time) for time in range(1, 10)))
    batches = list(EventReader(ledger, cursor_ns=0).batches(batch_events=5))

    assert [(len(b.events), b.pages, b.is_last) for b in batches] == [
        (6, 2, False),  # two pages of three reach five
        (3, 2, True),  # the last page and the empty one
    ]


def test_read_ahead_hands_out_all_batches_in_order() -> None:
    made = [
        Batch(np.zeros(0, EVENT_DTYPE), pages=n, ledger_time_ns=n, is_last=n == 9)
        for n in range(10)
    ]
    assert list(read_ahead(iter(made), items_max=1)) == made


def test_an_error_of_the_reading_comes_after_the_batches_before_it() -> None:
    def failing() -> Iterator[Batch]:
        yield Batch(np.zeros(0, EVENT_DTYPE), pages=1, ledger_time_ns=1, is_last=False)
        raise ConnectionError("the ledger went away")

    seen: list[Batch] = []
    with pytest.raises(ConnectionError, match="went away"):
        seen.extend(read_ahead(failing(), items_max=1))
    assert len(seen) == 1


def test_a_consumer_that_stops_early_ends_the_reading_thread() -> None:
    read: list[int] = []

    def endless() -> Iterator[Batch]:
        for number in range(10**9):
            read.append(number)
            yield Batch(np.zeros(0, EVENT_DTYPE), pages=1, ledger_time_ns=number, is_last=False)

    batches = read_ahead(endless(), items_max=1)
    next(batches)
    batches.close()

    count = len(read)
    assert count < 10
    assert len(read) == count  # the thread has ended: nothing is read any more
