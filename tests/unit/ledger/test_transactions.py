"""Cutting events where the table's partitions end."""

import numpy as np
import pytest

from masques_pipelines.ledger.records import by_month, timestamps_ns
from tests.support.memory_ledger import MemoryLedger, event

SEPTEMBER_END = 1_790_812_799_999_999_999  # 2026-09-30 23:59:59.999999999 UTC
OCTOBER_END = SEPTEMBER_END + 31 * 86_400 * 10**9


@pytest.mark.parametrize(
    ("times", "pieces"),
    [
        ([], []),
        ([SEPTEMBER_END - 1, SEPTEMBER_END], [[SEPTEMBER_END - 1, SEPTEMBER_END]]),
        # The last nanosecond of a month and the first of the next.
        ([SEPTEMBER_END, SEPTEMBER_END + 1], [[SEPTEMBER_END], [SEPTEMBER_END + 1]]),
        # A month without any event lies between.
        ([SEPTEMBER_END, OCTOBER_END + 1], [[SEPTEMBER_END], [OCTOBER_END + 1]]),
        # One month of two years is two partitions.
        (
            [SEPTEMBER_END, SEPTEMBER_END + 365 * 86_400 * 10**9],
            [[SEPTEMBER_END], [SEPTEMBER_END + 365 * 86_400 * 10**9]],
        ),
        # The largest time that the ledger can have lies past what a float holds exactly.
        ([2**63 - 2, 2**63 - 1], [[2**63 - 2, 2**63 - 1]]),
    ],
)
def test_cuts_at_each_month_edge(times: list[int], pieces: list[list[int]]) -> None:
    events = MemoryLedger().events
    if times:
        events = np.concatenate([event(time) for time in times])
    assert [timestamps_ns(piece).tolist() for piece in by_month(events)] == pieces
