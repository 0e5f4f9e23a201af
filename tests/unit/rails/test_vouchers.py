"""What becomes of vouchers is the same in whichever order they and the chain are read."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from masques_pipelines.rails.base.rail import BLOCKS_PER_FETCH, BaseRail, _rewind
from masques_pipelines.rails.base.voucher_states import UNBACKED_S
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.protocol import (
    CHARGED_TOTAL,
    Asset,
    Cursor,
    Finding,
    Observation,
)
from masques_pipelines.rails.revisions import Revision, changes_of
from masques_pipelines.rails.settlement_ids import voucher
from tests.support.anvil import TREASURY, USDC
from tests.support.memory_channels import MemoryChannels
from tests.support.plain_evm import (
    DirectRpc,
    PlainEvm,
    asks_back,
    claims,
    deposits,
    digest,
    sweeps,
    takes_back,
)
from tests.support.voucher_lines import CHANNEL_A, DELAY_S, NETWORK, line

CHANNEL_B = digest("channel b")
# Of each voucher that is not superseded: its total, status, reason and whether it has a deadline.
States = dict[tuple[str, int], tuple[str, str, bool]]


@dataclass
class World:
    """A chain, what is recorded of it, and the rail between them."""

    chain: PlainEvm = field(default_factory=lambda: PlainEvm(head=30, final=20))
    revisions: dict[Any, Revision] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    cursor: Cursor | None = None
    balances: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.channels = MemoryChannels(self.revisions)

    def announce(self, *lines: Observation) -> None:
        self._fold(lines)

    def grow(self, blocks: int = 40) -> None:
        self.chain.head += blocks
        self.chain.final += blocks

    def read(self, *, is_killed: str = "") -> None:
        """One run; one that is killed has written some of what it found, and no cursor."""
        config = BaseConfig(
            NETWORK, frozenset({TREASURY}), (Asset(USDC, "USDC", 6),), start_block=1
        )
        rpc: Any = DirectRpc(self.chain)
        rail = BaseRail(rpc, config, lambda **_: (), channels=self.channels)
        is_caught_up = False
        while not is_caught_up:
            result = rail.fetch(self.cursor)
            claimed = replace(result, channels=())
            self.channels.fold(claimed)
            if is_killed == "claims":
                return
            self._fold(result.observations)
            if is_killed == "rows":
                return
            self.channels.fold(result)
            self.cursor, is_caught_up = result.cursor, result.is_caught_up
            self.balances += result.balances

    def rewind(self, block: int) -> None:
        assert self.cursor is not None
        self.cursor = _rewind(self.cursor, block)

    def _fold(self, observations: Sequence[Observation]) -> None:
        changes = changes_of(observations, self.revisions)
        self.revisions.update({each.seen.settlement_id: each for each in changes.revisions})
        self.findings += changes.findings

    def states(self) -> States:
        return {
            (seen.payment_ref, int(seen.attributes[CHARGED_TOTAL])): (
                seen.status,
                seen.failure_reason,
                bool(seen.attributes.get("deadline_s")),
            )
            for seen in (each.seen for each in self.revisions.values())
            if CHARGED_TOTAL in seen.attributes
        }

    def unnamed(self) -> list[tuple[int, int]]:
        return sorted(
            (int(s.attributes["claim_from"]), int(s.attributes["claim_to"]))
            for s in (each.seen for each in self.revisions.values())
            if "claim_to" in s.attributes and s.status == "confirmed"
        )

    def confirmed(self) -> int:
        return sum(
            int(each.seen.amount.scaleb(6))
            for each in self.revisions.values()
            if each.seen.status == "confirmed" and each.seen.direction == "in"
        )

    def agrees(self) -> None:
        """What is confirmed is what the contracts hold for us, to one unit."""
        newest = max(each.block for each in self.balances)
        lines = {(e.address, e.line): e.balance for e in self.balances if e.block == newest}
        there = sum(lines.values())
        assert Decimal(self.confirmed()).scaleb(-6) == there

    def all_of(self) -> Any:
        rows = [each.seen for each in self.revisions.values()]
        kept = [seen for seen in rows if seen.status != "superseded"]
        return {seen.settlement_id: (seen.status, seen.tx_hash, seen.amount) for seen in kept}


def open_channel(world: World, units: int = 10_000, channel: str = CHANNEL_A) -> None:
    world.chain.land(4, deposits(channel, units, units))


def test_a_voucher_is_off_chain_claimable_and_confirmed_by_the_claim_that_reaches_it() -> None:
    world = World()
    world.announce(line(1_000, 1_000), line(1_700, 700))
    world.read()
    assert {s for s, *_ in world.states().values()} == {"off_chain"}
    open_channel(world)
    world.grow()
    world.read()
    assert {s for s, *_ in world.states().values()} == {"claimable"}
    tx = world.chain.land(66, claims(CHANNEL_A, 1_000, 1_000))
    world.grow()
    world.read()
    assert world.states() == {
        (CHANNEL_A, 1_000): ("confirmed", "", False), (CHANNEL_A, 1_700): ("claimable", "", False),
    }  # fmt: skip
    seen = world.revisions[voucher(NETWORK, CHANNEL_A, 1_000)].seen
    assert (seen.tx_hash, seen.attributes["claim_hash"]) == (tx, tx)
    world.agrees()
    world.chain.land(106, *sweeps(TREASURY, 1_000))
    world.grow()
    world.read()
    world.agrees()
    assert world.unnamed() == []
    assert world.findings == []


def asked_back(world: World) -> None:
    open_channel(world)
    world.announce(line(1_000, 1_000), line(9_000, 500, block=6))
    world.read()
    world.chain.land(31, asks_back(CHANNEL_A, 5_000, world.chain.time_s(31) + DELAY_S))
    world.grow()
    world.read()


def test_a_withdrawal_gives_a_deadline_to_what_it_would_take_only() -> None:
    world = World()
    asked_back(world)
    assert world.states() == {
        (CHANNEL_A, 1_000): ("claimable", "", False), (CHANNEL_A, 9_000): ("claimable", "", True),
    }  # fmt: skip
    seen = world.revisions[voucher(NETWORK, CHANNEL_A, 9_000)].seen
    assert seen.attributes["deadline_s"] == str(world.chain.time_s(31) + DELAY_S)


def test_a_withdrawal_is_seen_before_it_is_final() -> None:
    world = World()
    open_channel(world)
    world.announce(line(9_000, 500))
    world.read()
    world.chain.land(world.chain.head, asks_back(CHANNEL_A, 5_000, 0))
    world.read()
    assert world.states() == {(CHANNEL_A, 9_000): ("claimable", "", True)}


def test_what_the_payer_took_back_is_lost_and_nothing_else() -> None:
    world = World()
    asked_back(world)
    world.chain.land(71, takes_back(CHANNEL_A, 5_000))
    world.grow()
    world.read()
    assert world.states() == {
        (CHANNEL_A, 1_000): ("claimable", "", False),
        (CHANNEL_A, 9_000): ("failed", "claim_expired", False),
    }
    assert world.findings == []


def test_a_deadline_moves_with_the_withdrawal_and_goes_with_it() -> None:
    world = World()
    asked_back(world)
    world.chain.land(71, takes_back(CHANNEL_A, 10), asks_back(CHANNEL_A, 9_900, 0))
    world.grow()
    world.read()
    seen = world.revisions[voucher(NETWORK, CHANNEL_A, 9_000)].seen
    assert seen.attributes["deadline_s"] == str(world.chain.time_s(71) + DELAY_S)
    assert world.states()[CHANNEL_A, 1_000] == ("claimable", "", True)
    world.chain.land(111, takes_back(CHANNEL_A, 20))
    world.grow()
    world.read()
    assert set(world.states().values()) == {("claimable", "", False)}


def test_what_is_claimed_without_a_voucher_is_a_payment_until_its_line_comes() -> None:
    world = World()
    open_channel(world)
    world.announce(line(300, 100), line(900, 200))
    world.read()
    world.chain.land(31, claims(CHANNEL_A, 900, 900))
    world.grow()
    world.read()
    assert world.unnamed() == [(1, 200), (301, 700)]
    world.agrees()
    world.announce(line(700, 400))
    world.read()
    assert world.unnamed() == [(1, 200)]
    world.announce(line(150, 50))
    world.read()
    assert world.unnamed() == [(1, 100), (151, 200)]
    world.agrees()
    assert world.findings == []


def test_a_claim_that_a_reorganisation_undoes_opens_its_vouchers_again() -> None:
    world = World()
    open_channel(world)
    world.announce(line(1_000, 1_000))
    world.read()
    world.chain.land(31, claims(CHANNEL_A, 1_000, 1_000))
    world.grow()
    world.read()
    assert world.states() == {(CHANNEL_A, 1_000): ("confirmed", "", False)}
    world.chain.receipts.pop()
    world.rewind(25)
    world.read()
    assert world.states() == {(CHANNEL_A, 1_000): ("claimable", "", False)}
    assert [each.kind for each in world.findings] == ["changed_after_final"]
    world.chain.land(65, claims(CHANNEL_A, 1_000, 1_000), fork="b")
    world.grow()
    world.read()
    assert world.states() == {(CHANNEL_A, 1_000): ("confirmed", "", False)}
    world.agrees()


@pytest.mark.parametrize("reason", ["deposit_not_found", "receiver_is_not_ours"])
def test_a_voucher_without_a_channel_of_ours_is_closed_as_unknown(reason: str) -> None:
    world = World()
    each = line(1_000, 1_000)
    if reason == "receiver_is_not_ours":
        each = replace(each, to_address="0x" + "9" * 40)
    world.announce(each)
    world.read()
    world.grow(UNBACKED_S)
    world.read()
    assert world.states() == {(CHANNEL_A, 1_000): ("unknown", reason, False)}
    before = world.all_of()
    world.read()
    assert world.all_of() == before


def test_claims_of_a_channel_that_no_line_names_are_a_difference_to_the_chain() -> None:
    world = World()
    world.read()
    world.chain.land(31, deposits(CHANNEL_B, 500, 500), claims(CHANNEL_B, 300, 300))
    world.grow()
    world.read()
    with pytest.raises(AssertionError):
        world.agrees()
    world.announce(line(300, 300, CHANNEL_B))  # the line comes late
    world.read()
    world.agrees()


@dataclass
class Story:
    """A random life of two channels, as steps of the chain and lines of the journal."""

    seed: int
    lines: list[Observation] = field(default_factory=list)
    steps: list[tuple[int, list[dict[str, Any]]]] = field(default_factory=list)
    expected: States = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        block = 4
        to_sweep = 0
        for channel in (CHANNEL_A, CHANNEL_B):
            held = chance.randrange(2_000, 6_000)
            self.steps.append((block, [deposits(channel, held, held)]))
            paid = claimed = 0
            totals: list[int] = []
            for _ in range(chance.randrange(3, 12)):
                block += chance.randrange(1, 4)
                what = chance.random()
                units = chance.randrange(1, 400)
                if what < 0.6 and paid + units <= held:
                    paid += units
                    totals.append(paid)
                    # Otherwise its line is never written; without any, nobody knows the channel.
                    if len(totals) == 1 or chance.random() < 0.85:
                        self.lines.append(line(paid, units, channel, block))
                elif what < 0.85 and paid > claimed:
                    upto = chance.choice([t for t in totals if t > claimed])
                    self.steps.append((block, [claims(channel, upto - claimed, upto)]))
                    to_sweep += upto - claimed
                    claimed = upto
                elif to_sweep:
                    self.steps.append((block, list(sweeps(TREASURY, to_sweep))))
                    to_sweep = 0
            lost = chance.random() < 0.4
            if lost and held > claimed:
                block += 2
                self.steps.append((block, [takes_back(channel, held - claimed)]))
            for each in self.lines:
                total = int(each.attributes[CHARGED_TOTAL])
                if each.payment_ref == channel:
                    ended = ("failed", "claim_expired", False) if lost else ("claimable", "", False)
                    self.expected[channel, total] = (
                        ("confirmed", "", False) if total <= claimed else ended
                    )
        self.end = block

    def told(self, order: random.Random) -> World:
        """Reads the story with its lines in some order, in some runs, of which some are killed."""
        world = World(PlainEvm(head=3, final=2))
        lines = list(self.lines) * 2  # each line comes twice
        order.shuffle(lines)
        steps = list(self.steps)
        while lines or world.chain.final < self.end + 1:
            some = order.randrange(4)
            world.announce(*lines[:some])
            lines = lines[some:]
            world.chain.head = min(self.end + 12, world.chain.head + order.randrange(1, 9))
            world.chain.final = max(world.chain.final, world.chain.head - 10)
            if world.chain.head == self.end + 12:
                world.chain.final = self.end + 2
            while steps and steps[0][0] <= world.chain.head:
                at, logs = steps.pop(0)
                world.chain.land(at, *logs)
            killed = order.choice(["", "", "claims", "rows"])
            world.read(is_killed=killed)
            if world.cursor and order.random() < 0.2:
                world.rewind(order.randrange(1, max(2, world.chain.final)))
        world.read()
        return world


@pytest.mark.parametrize("seed", range(60))
def test_the_order_of_lines_runs_and_kills_changes_nothing(seed: int) -> None:
    story = Story(seed)
    worlds = [story.told(random.Random(seed * 100 + other)) for other in range(3)]
    for world in worlds:
        assert world.states() == story.expected
        assert world.findings == []
        assert world.all_of() == worlds[0].all_of()
        world.agrees()


def test_a_long_way_is_searched_once_for_new_vouchers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stretch of it is read once, and earlier blocks once more, at its end."""
    searched: list[int] = []
    answered = PlainEvm.answer

    def counted(chain: PlainEvm, method: str, params: list[Any]) -> Any:
        if method == "eth_getLogs" and CHANNEL_A in str(params[0]["topics"]):
            searched.append(int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1)
        return answered(chain, method, params)

    monkeypatch.setattr(PlainEvm, "answer", counted)
    world = World()
    blocks = 12 * BLOCKS_PER_FETCH
    open_channel(world)
    world.chain.land(7, claims(CHANNEL_A, 1_000, 1_000))
    world.grow(blocks)
    world.announce(line(1_000, 1_000))
    world.read()
    assert world.states() == {(CHANNEL_A, 1_000): ("confirmed", "", False)}
    assert sum(searched) < 3 * blocks
