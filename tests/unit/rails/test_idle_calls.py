"""A run with nothing new makes as many requests with hundreds of open payments as with more."""

from collections.abc import Sequence
from typing import Any

import pytest

from masques_pipelines.rails.lightning import node
from masques_pipelines.rails.lightning import rail as lightning
from masques_pipelines.rails.protocol import Cursor, OpenSettlement, Rail
from masques_pipelines.rails.revisions import open_of
from tests.support.rail_worlds import (
    RailWorld,
    base_world,
    lightning_world,
    open_payments,
    solana_world,
)

# Requests, and more of them for each 1,000 open payments, as docs/rails.md says. Base: the blocks;
# the logs; the balances. Solana: cluster, mints, balances, two slots, history, a list, statuses of
# the 1,000 open payments of a run, 256 a request, times. Lightning: identity, balances twice, a
# page of each list, and two for each 1,000 open invoices.
WORLDS: dict[str, tuple[Any, int, int]] = {
    "base": (lambda _: base_world(20), 3, 0),
    "solana": (lambda _: solana_world(20), 12, 0),
    "lightning": (lambda count: lightning_world(count, valid_s=10**8), 17, 2),
}
SIZES = (1_100, 2_200)


def idle_calls(world: RailWorld, name: str, count: int) -> int:
    """Returns the requests of a run with nothing new, as a new process makes it."""
    known = sorted(map(open_of, open_payments(name, count)), key=lambda e: str(e.settlement_id))

    def open_settlements(*, after: str = "", limit: int = 1_000) -> Sequence[OpenSettlement]:
        behind = [each for each in known if str(each.settlement_id) > after]
        before = [each for each in known if str(each.settlement_id) <= after]
        return [*behind, *before][:limit]

    cursor: Cursor | None = None
    calls = -1
    for _ in range(3):  # the second has read all; the third is idle
        rail: Rail = world.rail(open_settlements)
        is_caught_up = False
        while not is_caught_up:
            fetched = rail.fetch(cursor)
            cursor, is_caught_up = fetched.cursor, fetched.is_caught_up
        assert not [each for each in fetched.observations if each.status == "failed"]
        calls = rail.calls
    return calls


@pytest.mark.parametrize("name", WORLDS)
def test_calls_of_an_idle_run_are_bounded_by_a_constant(name: str) -> None:
    make, constant, per_1_000 = WORLDS[name]
    calls = [idle_calls(make(count), name, count) for count in SIZES]
    growth = per_1_000 * (SIZES[1] - SIZES[0]) // 1_000
    assert calls[1] - calls[0] <= growth
    assert calls[0] <= constant + per_1_000


def test_more_open_invoices_than_a_fetch_lists_are_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "PAGE", 10)
    count = 10 * lightning.PAGES_PER_FETCH + 2 * lightning.OLD_OPEN_MAX
    world = lightning_world(count, valid_s=10**8)
    cursor: Cursor | None = None
    fetches = []
    for _ in range(2):
        rail: Rail = world.rail(lambda **_: ())
        number, is_caught_up = 0, False
        while not is_caught_up and number < 99:
            fetched = rail.fetch(cursor)
            cursor, is_caught_up = fetched.cursor, fetched.is_caught_up
            number += 1
        fetches.append(number)
    assert fetches == [count // 10 // lightning.PAGES_PER_FETCH + 2, 1]
