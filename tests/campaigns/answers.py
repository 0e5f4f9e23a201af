"""Reads each rail through nodes of which one answer is changed: nothing ends a run or is lost.

`python -m tests.campaigns.answers --size 20000 --seed 1` changes one place of one answer of each
rail (of one with `--rail`), reads, then reads once more from the true node; no warehouse, but the
same fold. It fails when a run ends in another way than a rail may, when a payment is neither
settled, waiting nor rejected while the balance agrees, when something is believed that the true
node does not say, when a state is not the true one after the true run and nothing says so, or when
a secret is in a text.
"""

import argparse
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx2

from masques_pipelines.rails.protocol import (
    CLOSED,
    OPEN_MAX,
    BalanceReading,
    Cursor,
    Observation,
    OpenSettlement,
    RailRefusedError,
    RailUnavailableError,
)
from masques_pipelines.rails.redaction import redactor_of
from masques_pipelines.rails.revisions import (
    TIME_MAX_NS,
    TIME_MIN_NS,
    Revision,
    changes_of,
    open_of,
)
from masques_pipelines.rails.run import unexpected
from tests.campaigns.answer_worlds import HEADERS, RAILS, URL, World, world_of
from tests.campaigns.mutations import CANARIES, failed, mutated
from tests.support.memory_channels import MemoryChannels

FETCHES_MAX = 30
# Of a hundred changed answers, how many are no JSON-RPC or no JSON at all.
BROKEN = 0.1
SHOWN_MAX = 30
# A time that fits its neighbours is believed.
NEAR_NS = 60 * 10**9
# Whom a Lightning payment paid one answer says, and no other; of one that failed, all of it.
SAID_ONCE = ("lightning", "out", "to_address")
UNEXPLAINED = "otherwise than the truth, and nothing says so"
FACTS = ("direction", "amount", "currency", "asset", "to_address", "tx_hash", "payer")


class Answers(httpx2.Client):
    """A node that answers truly, but for one answer; without a transport, which is half the time.

    Attributes:
        at: Number of the answer that is changed; None for none.
        asked: Answers so far.
        changed: Method or path of the answer that was changed.
    """

    def __init__(
        self, world: World, known: dict[str, str], at: int | None, chance: random.Random
    ) -> None:
        super().__init__(transport=httpx2.MockTransport(lambda _request: httpx2.Response(500)))
        self._world = world
        self._known = known
        self._chance = chance
        self.at = at
        self.asked = 0
        self.changed = ""

    def request(self, method: str, url: Any, **asked: Any) -> httpx2.Response:
        body, status = asked["json"], 200
        if method == "GET" and not self._world.is_rest:  # Circle Gateway's API
            path = url.removeprefix(URL)
            answers = self._true(path, dict(asked["params"] or {}))
            if self._is_it(path.rpartition("/")[0]):
                answers = mutated(answers, self._chance)
        elif self._world.is_rest:
            path = url.removeprefix(URL)
            query = {**(asked["params"] or {}), **(body or {})}
            status, answers = self._true(path, {key: str(each) for key, each in query.items()})
            if self._is_it(path):
                answers = mutated(answers, self._chance)
        else:
            answers = self._one(body) if isinstance(body, dict) else [self._one(e) for e in body]
        text = json.dumps(answers)
        if self.changed and self.at is not None:
            self.at = None
            if self._chance.random() < BROKEN:
                status, text = failed(self._chance, answers)
        return httpx2.Response(status, content=text, headers={"Date": self._world.date()})

    def _one(self, call: Mapping[str, Any]) -> dict[str, Any]:
        answer = {
            "jsonrpc": "2.0",
            "id": call["id"],
            "result": self._true(call["method"], call["params"]),
        }
        if self._is_it(call["method"]):
            result = mutated({"_": answer["result"]}, self._chance)
            return {**answer, "result": result["_"]} if "_" in result else {"id": call["id"]}
        return answer

    def _is_it(self, name: str) -> bool:
        self.asked += 1
        if self.at is None or self.changed or self.asked <= self.at:
            return False
        self.changed = name
        return True

    def _true(self, name: str, asked: Any) -> Any:
        key = json.dumps([name, asked])
        if key not in self._known:
            self._known[key] = json.dumps(self._world.answer(name, asked))
        return json.loads(self._known[key])


@dataclass
class State:
    """What is recorded: as the warehouse would have it, in memory."""

    cursor: Cursor | None = None
    revisions: dict[Any, Revision] = field(default_factory=dict)
    readings: list[BalanceReading] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    rejected: int = 0
    read_to_ns: int = 0
    problem: str = ""
    crash: str = ""

    def __post_init__(self) -> None:
        self.channels = MemoryChannels(self.revisions)

    def open_settlements(self, *, after: str = "", limit: int = OPEN_MAX) -> list[OpenSettlement]:
        found = [
            each.seen
            for each in self.revisions.values()
            if each.seen.status == "pending"
            or (each.seen.status == "unknown" and CLOSED not in each.seen.attributes)
        ]
        found.sort(key=lambda each: (str(each.settlement_id) <= after, str(each.settlement_id)))
        return [open_of(each) for each in found[:limit]]

    def fold(self, observations: Sequence[Observation]) -> None:
        changes = changes_of(observations, self.revisions)
        self.revisions |= {each.seen.settlement_id: each for each in changes.revisions}
        self.texts += [each.detail for each in changes.findings]

    def balance(self) -> str:
        """Returns what masques_marts.chain_balances says of the worst asset."""
        states = [_state_of(self, asset) for asset in {each.asset for each in self.readings}]
        order = ("differs", "inconclusive", "opening", "agrees")
        return min(states or ["inconclusive"], key=order.index)


def _state_of(state: State, asset: str) -> str:
    groups: dict[tuple[int, int], dict[tuple[str, str], BalanceReading]] = {}
    for each in state.readings:
        if each.asset == asset:
            group = groups.setdefault((each.block, each.read_at_ns), {})
            group[each.address, each.line] = each
    known = {
        at: group
        for at, group in groups.items()
        if all(each.balance is not None for each in group.values())
    }
    if not known:
        return "inconclusive"
    now = max(known)
    first = min(at for at, group in known.items() if group.keys() == known[now].keys())
    moved = Decimal(0)
    for revision in state.revisions.values():
        seen = revision.seen
        if seen.asset != asset or seen.status != "confirmed":
            continue
        at = (seen.block_height, 0) if seen.block_height and now[0] else (0, seen.timestamp_ns)
        if first[0] < at[0] <= now[0] if at[0] else first[1] < at[1] <= now[1]:
            own_fee = seen.network_fee if seen.fee_currency == seen.currency else Decimal(0)
            moved += seen.amount if seen.direction == "in" else -(seen.amount + own_fee)
    held, flowed = (
        [sum((e.balance or 0) for e in known[at].values() if e.is_flow == is_flow) for at in
         (first, now)]
        for is_flow in (False, True)
    )  # fmt: skip
    if held[0] + moved + flowed[1] - flowed[0] != held[1]:
        return "differs"
    if max(groups) != now:
        return "inconclusive"
    return "opening" if first == now else "agrees"


def read(world: World, before: State, client: httpx2.Client) -> State:
    """Returns what a run through a client makes of a state; the run may fail as a rail may."""
    redact = redactor_of(URL, HEADERS)
    after = State(
        before.cursor, dict(before.revisions), list(before.readings), read_to_ns=before.read_to_ns
    )
    after.channels.recorded |= before.channels.recorded
    after.channels.states |= before.channels.states
    rail = world.open(client, after.open_settlements, after.channels)
    try:
        for _ in range(FETCHES_MAX):
            fetched = rail.fetch(after.cursor)
            timed = [
                each
                for each in fetched.observations
                if TIME_MIN_NS <= each.timestamp_ns <= TIME_MAX_NS
            ]
            after.fold(timed)
            after.channels.fold(fetched)
            json.dumps(fetched.cursor)  # it has to be stored
            after.rejected += len(fetched.rejected) + len(fetched.observations) - len(timed)
            after.texts += [redact(each.raw + each.reason) for each in fetched.rejected]
            after.texts += [redact(each.detail) for each in fetched.findings]
            after.texts += [redact(each.problem) for each in fetched.balances]
            after.readings += fetched.balances
            after.cursor = fetched.cursor
            after.read_to_ns = max(after.read_to_ns, fetched.read_to_ns or 0)
            if fetched.is_caught_up:
                return after
        after.problem = "it does not come to an end"
    except (RailUnavailableError, RailRefusedError) as error:
        after.problem = redact(str(error))
        after.texts.append(after.problem)
    except Exception as error:  # noqa: BLE001 - that it is one is the fault
        after.crash = f"{type(error).__name__} at {unexpected(error)[:120]}"
    return after


def faults_of(world: World, spoiled: State, true: State) -> list[str]:
    """Returns what a run believed, lost or said that it may not."""
    balance = spoiled.balance()
    found = [f"an unexpected error: {spoiled.crash}"] if spoiled.crash else []
    for key, revision in spoiled.revisions.items():
        really = true.revisions.get(key)
        found += _believed(revision.seen, really.seen if really else None, balance)
    found += _lost(world, spoiled, true, balance)
    if spoiled.read_to_ns > true.read_to_ns + NEAR_NS:
        found.append("read to a time that was not reached")
    texts = [*spoiled.texts, *(_facts_text(each.seen) for each in spoiled.revisions.values())]
    if any(canary in text for text in texts for canary in CANARIES):
        found.append("a secret in a text")
    if "\n" in spoiled.problem:
        found.append("an error of several lines")
    return found


def _believed(seen: Observation, truth: Observation | None, balance: str) -> Iterator[str]:
    """Yields what is recorded of a payment and is not so."""
    is_nobodys = truth is None and (seen.rail, seen.direction) == SAID_ONCE[:2]
    is_failed = truth is not None and truth.status == "failed"
    if seen.status == "failed" and not is_failed and not is_nobodys:
        yield f"wrong failed: {seen.failure_reason}"
    if seen.status != "confirmed" or not seen.finality:
        return
    # What a back-fill finds before the opening balance only Base can compare.
    is_red = balance == "differs" or (balance == "opening" and seen.rail != "base")
    if truth is None or truth.status == "unknown":
        if not is_red:
            yield "confirmed, and there is no such payment"
        return
    for name in FACTS:
        is_same = getattr(seen, name) in ("", getattr(truth, name))
        is_excused = is_red and name in ("amount", "direction")
        if not is_same and not is_excused and (seen.rail, seen.direction, name) != SAID_ONCE:
            yield f"confirmed with another {name}"


def _lost(world: World, spoiled: State, true: State, balance: str) -> Iterator[str]:
    """Yields the payments that are neither settled, waiting nor rejected, and nothing says so."""
    is_said = bool(spoiled.problem or spoiled.rejected or (spoiled.cursor or {}).get("waiting"))
    # Before the opening balance only Base can be compared: it reads one before its first block.
    is_open = balance == "opening" and world.name != "base"
    if is_said or is_open or balance in ("differs", "inconclusive"):
        return
    for key, revision in true.revisions.items():
        now = spoiled.revisions.get(key)
        status = now.seen.status if now else "no row"
        if revision.seen.status == "confirmed" and status not in ("confirmed", "pending"):
            yield f"lost: {status}"


def _facts_text(seen: Observation) -> str:
    """Returns all text of a row but its memo, which anybody may write and all may read."""
    kept = {key: value for key, value in seen.attributes.items() if key != "memo"}
    return str(replace(seen, attributes=kept))


@dataclass
class Outcome:
    """What became of the runs.

    Attributes:
        runs: How many answers were changed.
        differing: Of the runs that are not as the truth after one true run, why that is so, with
            how often and the first seed of it.
        ends: How they ended: as if nothing had been changed, with an error, something rejected or
            waiting, a balance that differs, and so on.
        faults: What may not be, with how often and the first seed of it.
        methods: Of which calls the answers were.
    """

    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[int]] = field(default_factory=dict)
    methods: Counter[str] = field(default_factory=Counter)
    healed: int = 0
    differing: dict[str, list[int]] = field(default_factory=dict)


class Campaign:
    """Runs of one rail, all against one world."""

    def __init__(self, rail: str) -> None:
        self.world = world_of(rail)
        dice = random.Random(0)
        announced = State()
        announced.fold(self.world.announced)
        first = read(self.world, announced, Answers(self.world, {}, None, dice))
        self.world.grow()
        self._known: dict[str, str] = {}
        self._starts: list[tuple[State, State, int]] = []
        for start in (announced, first):
            answers = Answers(self.world, self._known, None, dice)
            true = read(self.world, start, answers)
            assert not true.problem + true.crash, true.problem + true.crash
            assert not true.rejected, true.texts
            self._starts.append((start, true, answers.asked))
        assert self._starts[1][1].balance() == "agrees"

    def one(self, seed: int, outcome: Outcome) -> None:
        """Changes one answer, reads, and reads again from the true node."""
        chance = random.Random(seed)
        start, true, asked = self._starts[chance.random() < 0.8]
        answers = Answers(self.world, self._known, chance.randrange(asked), chance)
        spoiled = read(self.world, start, answers)
        outcome.runs += 1
        outcome.methods[answers.changed or "none"] += 1
        outcome.ends[_end_of(spoiled, true)] += 1
        after = read(self.world, spoiled, Answers(self.world, self._known, None, chance))
        is_healed = _facts_of(after) == _facts_of(true)
        outcome.healed += is_healed
        unexplained = []
        if not is_healed:
            for why in _differs(spoiled, after, true):
                outcome.differing.setdefault(why, []).append(seed)
                unexplained += [why] if why.startswith(UNEXPLAINED) else []
        faults = [f"{each} ({answers.changed})" for each in faults_of(self.world, spoiled, true)]
        faults += [f"{each} ({answers.changed})" for each in unexplained]
        after.rejected += spoiled.rejected
        again = faults_of(self.world, after, true)
        faults += [f"after a true run: {each} ({answers.changed})" for each in again]
        for each in dict.fromkeys(faults):
            outcome.faults.setdefault(each, []).append(seed)


def _facts_of(state: State) -> set[tuple[Any, ...]]:
    return {
        (each.seen.settlement_id, each.seen.status, *(getattr(each.seen, name) for name in FACTS))
        for each in state.revisions.values()
    }


def _differs(spoiled: State, after: State, true: State) -> Iterator[str]:
    """Yields why a state is not the true one after a true run; UNEXPLAINED where nothing says so.

    What was said at once, or is said by the balance, is for a person; what a single answer says of
    a final payment and cannot be checked is left empty.
    """
    if spoiled.rejected or after.rejected:
        yield "said: something is in quarantine"
        return
    if after.balance() in ("differs", "inconclusive"):
        yield f"said: the balance is {after.balance()}"
        return
    if (after.cursor or {}).get("waiting"):
        yield "said: a transaction is waited for"
        return
    is_compared = after.balance() != "opening"
    for key in true.revisions.keys() | after.revisions.keys():
        now, really = after.revisions.get(key), true.revisions.get(key)
        if now is None and really is not None and really.seen.rail != "base" and not is_compared:
            yield "not seen in a back-fill, before the first balance: nothing can compare it"
            continue
        if now is None or really is None:
            yield f"{UNEXPLAINED}: {'no row' if now is None else now.seen.status}"
            continue
        yield from _changed(now.seen, really.seen)


def _changed(now: Observation, really: Observation) -> Iterator[str]:
    if now.status != really.status:
        if now.status == "unknown":
            yield f"unknown with a reason, in place of {really.status}"
        else:
            yield f"{UNEXPLAINED}: {now.status} in place of {really.status}"
        return
    for name in FACTS:
        was, is_now = getattr(really, name), getattr(now, name)
        if was == is_now:
            continue
        is_once = (now.rail, now.direction, name) == SAID_ONCE
        if now.status == "failed":
            # No money: a node that named an old block as final, an invoice without its amount.
            yield f"failed either way, with another {name}"
        elif is_now == "" and name in ("payer", "to_address"):
            yield f"left empty: {name}, which one answer says"
        elif is_once or was == "":
            yield f"known from one answer: {name}"
        else:
            yield f"{UNEXPLAINED}: another {name}"


def _end_of(spoiled: State, true: State) -> str:
    if spoiled.problem:
        return "the run says so"
    if spoiled.rejected:
        return "rejected"
    if spoiled.balance() in ("differs", "inconclusive"):
        return f"balance {spoiled.balance()}"
    return "as the truth" if _facts_of(spoiled) == _facts_of(true) else "waits"


def run(rail: str, *, size: int, seed: int) -> Outcome:
    """Runs a campaign of one rail."""
    campaign, outcome = Campaign(rail), Outcome()
    for number in range(size):
        campaign.one(seed * 10**7 + number, outcome)
    return outcome


def main() -> None:
    """Runs the campaign and says what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rail", choices=(*RAILS, "all"), default="all")
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    faults = 0
    for rail in RAILS if arguments.rail == "all" else [arguments.rail]:
        faults += _report(rail, size=arguments.size, seed=arguments.seed)
    sys.exit(1 if faults else 0)


def _report(rail: str, *, size: int, seed: int) -> int:
    """Runs the campaign of one rail and prints what became of it; returns how many faults."""
    began_s = time.process_time()
    outcome = run(rail, size=size, seed=seed)
    lines = [
        f"{rail}: {outcome.runs} changed answers in {time.process_time() - began_s:.0f} CPU s",
        f"ends: {dict(outcome.ends)}; {outcome.healed} as the truth after one true run",
        f"answers of: {dict(outcome.methods)}",
        *(
            f"not as the truth, {len(seeds)} times: {why}: seeds {seeds[:3]}"
            for why, seeds in sorted(outcome.differing.items())
        ),
        *(
            f"FAULT {len(seeds)} times: {fault}: seeds {seeds[:5]}"
            for fault, seeds in sorted(outcome.faults.items())[:SHOWN_MAX]
        ),
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - a command
    return len(outcome.faults)


if __name__ == "__main__":
    main()
