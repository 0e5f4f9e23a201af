"""Any ledger, cut into any polls, gives the rows and the seals of one pass.

The ledger here does what the real server does: times ascend, a hold may be posted or voided until
it is due and expires some time after that, and an import may get any time after the newest
transfer, so also one behind expiries that were read long ago, between two polls or between two
pages of one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masques_pipelines.ledger import backfill
from masques_pipelines.ledger.reader import EventReader
from masques_pipelines.ledger.records import Records, by_month, kept_of, timestamps_ns
from masques_pipelines.ledger.seals import Seal, Sealer, events_digest
from tests.support.campaign import rounds
from tests.support.memory_ledger import MemoryLedger, event

PENDING, POSTED, VOIDED, EXPIRED = 1, 2, 3, 4
NEVER = 2**63
STEP_NS = 300_000_000  # a timeout of one second is due in the fourth act after
# Near the end of a month, so that some ledgers cross it.
START_NS = 1_790_812_800_000_000_000 - 13 * STEP_NS


@dataclass
class World:
    """A ledger that grows by one act after the other."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now_ns: int = START_NS
    newest_transfer_ns: int = START_NS
    open_holds: dict[int, int] = field(default_factory=dict)  # time of a hold: time it is due

    def act(self, kind: str) -> None:
        self.now_ns += STEP_NS
        if kind == "pulse":
            self._expire()
        elif kind.startswith("hold"):
            timeout_s = int(kind.removeprefix("hold "))
            self.open_holds[self.now_ns] = self.now_ns + timeout_s * 10**9 if timeout_s else NEVER
            self._add(self.now_ns, type=PENDING, transfer_timeout=timeout_s)
        elif kind.startswith("import"):
            # Early: right behind the newest transfer. Late: right before now.
            is_early = kind == "import early"
            time_ns = self.newest_transfer_ns + 1 if is_early else self.now_ns - 1
            taken = set(timestamps_ns(self.ledger.events).tolist())
            while time_ns in taken:
                time_ns += 1 if is_early else -1
            self._add(time_ns, transfer_flags=256)
        else:
            self._close_or_pay(kind)

    def _close_or_pay(self, kind: str) -> None:
        """Posts or voids the oldest hold that is not due; a payment when there is none."""
        held = next((t for t, due_ns in self.open_holds.items() if due_ns > self.now_ns), None)
        if kind == "payment" or held is None:
            self._add(self.now_ns)
            return
        del self.open_holds[held]
        is_post = kind == "post"
        self._add(self.now_ns, type=POSTED if is_post else VOIDED, transfer_pending_id=held)

    def _expire(self) -> None:
        """Lets all holds that are due expire, however long ago that was, in one pulse."""
        due = sorted(
            (due_ns, held) for held, due_ns in self.open_holds.items() if due_ns <= self.now_ns
        )
        for number, (_due_ns, held) in enumerate(due):
            del self.open_holds[held]
            self.ledger.add(
                event(
                    self.now_ns + number,
                    type=EXPIRED,
                    transfer_id=held,
                    transfer_timestamp=held,
                    transfer_amount=held % 97,
                )
            )

    def _add(self, time_ns: int, **fields: int) -> None:
        flags = {PENDING: 2, POSTED: 4, VOIDED: 8}.get(fields.get("type", 0), 0)
        given_fields = {"transfer_flags": flags, "ledger": time_ns % 3 + 1, **fields}
        self.ledger.add(event(time_ns, transfer_amount=time_ns % 97, **given_fields))
        self.newest_transfer_ns = time_ns


@dataclass
class Target:
    """What a warehouse keeps: rows by time, and seals."""

    rows: dict[int, bytes] = field(default_factory=dict)
    types: dict[int, int] = field(default_factory=dict)
    seals: list[Seal] = field(default_factory=list)

    def cursor_ns(self) -> int:
        cursor_ns = max((t for t, kind in self.types.items() if kind != EXPIRED), default=0)
        return min(cursor_ns, self.seals[-1].to_ns if self.seals else 0)

    def insert(self, events: Records) -> None:
        for one in events:
            time_ns = int(one["timestamp"])
            self.rows.setdefault(time_ns, one.tobytes())  # the view drops a time that is there
            self.types.setdefault(time_ns, int(one["type"]))


@dataclass(frozen=True)
class Poll:
    """One run: pages and batches of these sizes, what the ledger does meanwhile, and the end of it.

    Attributes:
        dies_after: Inserts after which the run is killed; None for a run that ends by itself.
        dies_unsealed: Whether the kill comes between an insert and its seal.
        stretch: Fewest events that are taken from transfers before a hold is due; 0 when the
            ledger's transfers are of no use.
        open_holds: Most timed holds that are followed before change events do the rest.
    """

    page: int
    batch: int
    stretch: int
    open_holds: int
    meanwhile: tuple[str, ...]
    dies_after: int | None
    dies_unsealed: bool


def run(world: World, target: Target, poll: Poll) -> None:
    acts = list(poll.meanwhile)

    def act(_ledger: MemoryLedger) -> None:
        if acts:
            world.act(acts.pop(0))

    world.ledger.page_events, world.ledger.before_call = poll.page, act
    world.ledger.page_transfers = 3 * poll.page
    world.ledger.has_quick_transfers = poll.stretch > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill, "STRETCH_EVENTS_MIN", poll.stretch)
        patch.setattr(backfill, "SEARCH_EVENTS", 1)
        patch.setattr(backfill, "OPEN_HOLDS_MAX", poll.open_holds)
        read(world, target, poll)
    world.ledger.before_call = lambda _ledger: None


def read(world: World, target: Target, poll: Poll) -> None:
    sealer = Sealer(target.seals[-1] if target.seals else None)
    inserts = 0
    for batch in EventReader(world.ledger, cursor_ns=target.cursor_ns()).batches(poll.batch):
        for piece in by_month(batch.events):
            target.insert(piece)
            inserts += 1
            if inserts == poll.dies_after and poll.dies_unsealed:
                return
        target.seals += sealer.add(batch.events)
        if poll.dies_after is not None and inserts >= poll.dies_after:
            return


HOLDS = ("hold 0", "hold 1", "hold 2")  # the number is the timeout in seconds; 0 is never due
IMPORTS = ("import early", "import late")
KINDS = st.sampled_from(["payment", *HOLDS, "post", "void", "pulse", "pulse", *IMPORTS])
POLLS: st.SearchStrategy[Poll] = st.builds(
    Poll,
    page=st.integers(1, 9),
    batch=st.integers(1, 20),
    stretch=st.integers(0, 5),
    open_holds=st.integers(0, 20),
    meanwhile=st.lists(KINDS, max_size=6).map(tuple),
    dies_after=st.none() | st.integers(1, 4),
    dies_unsealed=st.booleans(),
)
STORIES = st.lists(st.tuples(st.lists(KINDS, max_size=30), POLLS), min_size=1, max_size=8)
LAST = Poll(
    page=7, batch=10, stretch=3, open_holds=20, meanwhile=(), dies_after=None, dies_unsealed=False
)


def told(
    story: list[tuple[list[str], Poll]], run_poll: Callable[[World, Target, Poll], None] = run
) -> tuple[World, Target]:
    """Plays a story, then ends it with a transfer and one poll that is left in peace."""
    world, target = World(), Target()
    for acts, poll in story:
        for kind in acts:
            world.act(kind)
        run_poll(world, target, poll)
    world.act("payment")
    run_poll(world, target, LAST)
    return world, target


@settings(max_examples=rounds(150), deadline=None)
@given(STORIES)
def test_any_polls_give_the_rows_of_one_pass(story: list[tuple[list[str], Poll]]) -> None:
    world, target = told(story)
    assert target.rows == {
        int(one["timestamp"]): one.tobytes() for one in kept_of(world.ledger.events)
    }


@settings(max_examples=rounds(150), deadline=None)
@given(STORIES)
def test_any_polls_seal_every_event_once(story: list[tuple[list[str], Poll]]) -> None:
    world, target = told(story)
    events = kept_of(world.ledger.events)
    times = timestamps_ns(events)
    before_ns, digest = 0, ""
    for number, seal in enumerate(target.seals, start=1):
        inside = events[(times > seal.from_ns) & (times <= seal.to_ns)]
        assert (seal.sequence, seal.from_ns, seal.previous_digest) == (number, before_ns, digest)
        assert (seal.events, seal.events_digest) == (len(inside), events_digest(inside))
        assert seal.digest == seal.computed_digest()
        before_ns, digest = seal.to_ns, seal.digest
    assert before_ns == int(times[-1])


def test_amounts_of_128_bits_add_up_exactly() -> None:
    top = 2**128 - 1
    ledger = MemoryLedger()
    ledger.add(*(event(time, transfer_amount=top) for time in range(1, 5)))
    (seal,) = Sealer(None).add(kept_of(ledger.events))
    assert (seal.posted, seal.held) == ({1: 4 * top}, {})
    assert Sealer(None).add(kept_of(MemoryLedger().events)) == []
