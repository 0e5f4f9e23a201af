"""Any ledger, cut into any polls, gives the rows and the seals of one pass.

The ledger here does what the real server does: times ascend, holds expire, and an import may get
any time after the newest transfer, so also one behind expiries that were read long ago, between two
polls or between two pages of one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from masques_pipelines.ledger.reader import EventReader
from masques_pipelines.ledger.records import Records, by_month, kept_of, timestamps_ns
from masques_pipelines.ledger.seals import Seal, Sealer, events_digest
from tests.support.memory_ledger import MemoryLedger, event

EXPIRED = 4
# Near the end of a month, so that some ledgers cross it.
START_NS = 1_790_812_800_000_000_000 - 40


@dataclass
class World:
    """A ledger that grows by one act after the other."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now_ns: int = START_NS
    newest_transfer_ns: int = START_NS

    def act(self, kind: str) -> None:
        self.now_ns += 3
        if kind == "expiry":
            self.ledger.add(event(self.now_ns, type=EXPIRED, transfer_amount=self.now_ns % 97))
            return
        taken = set(timestamps_ns(self.ledger.events).tolist())
        time_ns = self.now_ns
        if kind.startswith("import"):
            # Early: right behind the newest transfer. Late: right before now.
            free = [t for t in range(self.newest_transfer_ns + 1, self.now_ns) if t not in taken]
            time_ns = free[0] if kind == "import early" else free[-1]
        flags = 256 if kind.startswith("import") else 0
        self.ledger.add(
            event(
                time_ns, transfer_amount=time_ns % 97, transfer_flags=flags, ledger=time_ns % 3 + 1
            )
        )
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
    """

    page: int
    batch: int
    meanwhile: tuple[str, ...]
    dies_after: int | None
    dies_unsealed: bool


def run(world: World, target: Target, poll: Poll) -> None:
    acts = list(poll.meanwhile)

    def act(_ledger: MemoryLedger) -> None:
        if acts:
            world.act(acts.pop(0))

    world.ledger.page_events, world.ledger.before_call = poll.page, act
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
    world.ledger.before_call = lambda _ledger: None


KINDS = st.sampled_from(["transfer", "expiry", "expiry", "import early", "import late"])
POLLS: st.SearchStrategy[Poll] = st.builds(
    Poll,
    page=st.integers(1, 9),
    batch=st.integers(1, 20),
    meanwhile=st.lists(KINDS, max_size=6).map(tuple),
    dies_after=st.none() | st.integers(1, 4),
    dies_unsealed=st.booleans(),
)
STORIES = st.lists(st.tuples(st.lists(KINDS, max_size=12), POLLS), min_size=1, max_size=8)
LAST = Poll(page=7, batch=10, meanwhile=(), dies_after=None, dies_unsealed=False)


def told(
    story: list[tuple[list[str], Poll]], run_poll: Callable[[World, Target, Poll], None] = run
) -> tuple[World, Target]:
    """Plays a story, then ends it with a transfer and one poll that is left in peace."""
    world, target = World(), Target()
    for acts, poll in story:
        for kind in acts:
            world.act(kind)
        run_poll(world, target, poll)
    world.act("transfer")
    run_poll(world, target, LAST)
    return world, target


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_any_polls_give_the_rows_of_one_pass(story: list[tuple[list[str], Poll]]) -> None:
    world, target = told(story)
    assert target.rows == {
        int(one["timestamp"]): one.tobytes() for one in kept_of(world.ledger.events)
    }


@settings(max_examples=300, deadline=None)
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
