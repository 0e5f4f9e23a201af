"""Reads Solana: tokens that reached and left the treasury's token accounts.

A fetch walks back through the lists of signatures of our accounts down to a slot floor, reads the
transactions, then resolves what is still open. From an older floor it gives the same settlements.

No answer is taken on trust. The reads of one fetch come from backends that have reached the same
slot (`minContextSlot`); each page of a list has to begin where the one before it ended, or its node
does not know the place; a node that no longer has the slots since the floor is a finding, never a
failed payment; and the balances of the accounts are read for the check against the chain.

The floor is a final slot, and each walk reads OVERLAP_SLOTS below it for what a lagging index did
not list. A walk that is longer than one fetch keeps its place in the cursor.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from masques_pipelines.errors import SettingError
from masques_pipelines.money import whole_units
from masques_pipelines.rail_settings import RailSettings, variable
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.endpoint import bearer_headers, open_endpoint, parse_assets
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    ADDED_TO_CHAIN,
    OPEN_MAX,
    PART_OF,
    SUPERSEDED_BY,
    Asset,
    BalanceReading,
    Cursor,
    FetchResult,
    Finding,
    Found,
    Observation,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
    RecordedSettlements,
    Rejected,
    nothing_recorded,
)
from masques_pipelines.rails.settlement_ids import solana_transfer
from masques_pipelines.rails.solana.addresses import (
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    associated_token_account,
    is_address,
)
from masques_pipelines.rails.solana.consistency import Expected, contradiction
from masques_pipelines.rails.solana.cursor import (
    Position,
    Walk,
    cursor_of,
    position_of,
    rewound,
)
from masques_pipelines.rails.solana.messages import (
    Listed,
    SignatureStatus,
    Transaction,
    is_signature,
    short,
    time_of,
)
from masques_pipelines.rails.solana.node import SolanaNode, Unreadable
from masques_pipelines.rails.solana.transfers import (
    PAYERS,
    Account,
    TransactionContext,
    is_ambiguous,
    is_paid_elsewhere,
    movements,
    network_fee,
)

NAME: Final = "solana"
SETTING: Final = partial(variable, NAME)
OVERLAP_SLOTS: Final = 64
PAGE: Final = 1_000
# Transactions of one fetch; the rest waits for the next fetch, so that one insert stays small.
TRANSACTIONS_PER_FETCH: Final = 1_000
# Slot of what waits for an answer and was listed without one that can be read.
UNKNOWN_SLOT: Final = 0
# A blockhash is valid for 150 blocks; a transaction that has not landed by then never will.
BLOCKHASH_SLOTS: Final = 150
# Runs that ask again for a transaction or a time that the node does not answer, and how many.
WAIT_RUNS_MAX: Final = 50
WAITING_MAX: Final = 1_000
# Recorded payments of slots that are read again, of which one fetch asks the node.
RECHECK_MAX: Final = 1_000
# A transaction dies with its blockhash, about 150 blocks (60 to 90 s) after it was signed.
BLOCKHASH_LIFE_S: Final = 150
# A deadline comes from a client; no transaction is waited for longer than a day.
DEADLINE_MAX_S: Final = 86_400


@dataclass(frozen=True)
class SolanaConfig:
    """The configuration of the rail.

    Attributes:
        network: CAIP-2 id; its reference is the beginning of the genesis hash.
        treasury: Our wallets, whose associated token accounts are read.
        mints: Tokens that count as money.
        finality: The commitment from which on a payment is final: finalized or confirmed.
        start_slot: First slot to read; None starts at the slot that is final in the first fetch.
        setting: Where a person finds one of these, in messages.
    """

    network: str
    treasury: tuple[str, ...]
    mints: tuple[Asset, ...]
    finality: str = "finalized"
    start_slot: int | None = None
    setting: Callable[[str], str] = SETTING


@dataclass
class _Fetch:
    """What one fetch has observed so far."""

    final_slot: int
    head_slot: int
    # By token account the wallet that it belongs to at the final slot; and whose lists have what.
    holders: Mapping[str, str] = field(default_factory=dict)
    ours: dict[str, int] = field(default_factory=dict)
    listed_for: dict[str, set[str]] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    ids: set[Any] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        if by:
            self.notes[name] = self.notes.get(name, 0) + by


class SolanaRail:
    """Movements of the treasury's token accounts."""

    name = NAME

    def __init__(
        self,
        rpc: JsonRpc,
        config: SolanaConfig,
        open_settlements: OpenSettlements,
        recorded: RecordedSettlements = nothing_recorded,
    ) -> None:
        self.network = config.network
        self.description = rpc.node.description
        self._node = SolanaNode(rpc)
        self._config = config
        self._open_settlements = open_settlements
        self._recorded = recorded
        self._accounts: tuple[Account, ...] = ()
        self._is_checked = False

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._node.calls

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the movements after the cursor and the open settlements that were resolved.

        Raises:
            RailUnavailableError: The node is down, busy or behind, or answered nonsense.
            RailRefusedError: The node belongs to another cluster, or a token is not a mint.
        """
        self._check_cluster()
        at = position_of(cursor)
        held_slot, held, seen = self._begin(at)
        floor = self._floor(at, seen)
        is_whole = at.walk is None
        if is_whole:
            self._check_history(floor, seen)
            self._read_waiting(at, seen)
        walk = at.walk or Walk(seen.final_slot)
        listed = self._listed(walk, floor - OVERLAP_SLOTS, at, seen)
        is_at_end = all(walk.pages.get(each.address, ()) is None for each in self._accounts)
        is_caught_up = is_whole and is_at_end
        open_now = self._open_settlements(after=at.after, limit=OPEN_MAX) if is_caught_up else ()
        self._read(at, listed, self._known(open_now, seen), seen)
        if is_caught_up:
            self._resolve(seen, [each for each in open_now if each.settlement_id not in seen.ids])
            at.after = str(open_now[-1].settlement_id) if len(open_now) == OPEN_MAX else ""
            is_caught_up = self._recheck(at, seen)
        at.since_slot = floor if at.since_slot is None else at.since_slot
        at.floor, at.walk = (max(floor, walk.to_slot), None) if is_at_end else (floor, walk)
        at.done = {
            key: slot
            for key, slot in at.done.items()
            if slot >= walk.to_slot - OVERLAP_SLOTS or (not is_at_end and slot <= floor)
        }
        held_at_s = self._node.time_before(held_slot) if is_caught_up and held_slot else None
        balances = self._readings(at, held, held_slot, held_at_s)
        at.ours = seen.ours
        if balances and all(each.balance is not None for each in balances):
            at.ours = {a.address: seen.ours.get(a.address, held_slot) for a in self._accounts}
        return FetchResult(
            observations=seen.observations,
            cursor=cursor_of(at),
            is_caught_up=is_caught_up,
            position=at.floor,
            behind=max(0, seen.head_slot - at.floor),
            rejected=seen.rejected,
            findings=seen.findings,
            read_to_ns=None if held_at_s is None else held_at_s * 10**9,
            balances=balances,
            notes=seen.notes,
        )

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        """Reads the transactions again that were rejected.

        Raises:
            RailUnavailableError, RailRefusedError: as `fetch`.
        """
        self._check_cluster()
        at = position_of(cursor)
        _, _, seen = self._begin(at)
        self._floor(at, seen)
        named = {each.key: each.source.removeprefix(f"{self.network}/") for each in rejected}
        signatures = sorted({name for name in named.values() if is_signature(name)})
        answers = dict(zip(signatures, self._node.transactions(signatures), strict=True))
        still: list[Rejected] = []
        for each in rejected:
            signature = named[each.key]
            if signature not in answers:
                still.append(each)
                continue
            slot = _slot_of(each)
            expected = Expected(signature, slot or UNKNOWN_SLOT)
            problem = self._observe(seen, answers[signature], expected, None)
            if problem is not None:
                still.append(self._rejected(signature, problem.reason, problem.problem, slot))
        return Found(observations=seen.observations, rejected=still)

    def _begin(self, at: Position) -> tuple[int, dict[str, tuple[str, str, int]], _Fetch]:
        """Returns the slot of our balances, the balances, and a fetch that is not before it."""
        held_slot, held = self._node.balances(
            [each.address for each in self._accounts], self._config.finality
        )
        final = self._node.slot(self._config.finality, held_slot)
        # Up to the slot of the balances, so that both say the same of every payment.
        seen = _Fetch(
            final_slot=held_slot or final,
            head_slot=self._node.slot("confirmed", final),
            holders={address: owner for address, (_, owner, _) in held.items()},
            ours=self._ours(at),
        )
        return held_slot, held, seen

    def _check_cluster(self) -> None:
        """Checks the cluster once, and derives our accounts by the programs of the mints."""
        if self._is_checked:
            return
        genesis = self._node.genesis()
        reference = self._config.network.removeprefix("solana:")
        if genesis[: len(reference)] != reference:
            raise RailRefusedError(
                f"{self.description}: its genesis is {genesis[:32]}, and "
                f"{self._config.setting('network')} is {self._config.network}: give "
                f"{self._config.setting('url')} a node of that cluster"
            )
        mints = self._node.mints([each.address for each in self._config.mints])
        for each in self._config.mints:
            program, decimals = mints.get(each.address, ("", 0))
            if program not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
                raise RailRefusedError(
                    f"{self._config.setting('assets')}: {each.address} is not a mint of SPL "
                    "Token or Token-2022 on this cluster: correct its address"
                )
            if decimals != each.decimals:
                raise RailRefusedError(
                    f"{self._config.setting('assets')}: {each.address} has {decimals} decimals, "
                    f"and the setting says {each.decimals}: correct the setting"
                )
        self._accounts = tuple(
            Account(
                associated_token_account(owner, mint.address, mints[mint.address][0]), owner, mint
            )
            for owner in self._config.treasury
            for mint in self._config.mints
        )
        self._is_checked = True

    def _ours(self, at: Position) -> dict[str, int]:
        """Returns the accounts that are known, and the slots after which they are ours.

        Of a token that is new all accounts are from the beginning, as all are in the first fetch.
        """
        known = at.ours
        if known is None:
            return {each.address: 0 for each in self._accounts}
        old_mints = {each.mint.address for each in self._accounts if each.address in known}
        return {
            each.address: known.get(each.address, 0)
            for each in self._accounts
            if each.address in known or each.mint.address not in old_mints
        }

    def _floor(self, at: Position, seen: _Fetch) -> int:
        if at.floor is None:
            start = self._config.start_slot
            return seen.final_slot if start is None else min(start, seen.final_slot)
        newest = max(at.floor, at.walk.to_slot if at.walk else 0)
        if newest > seen.final_slot:
            raise RailUnavailableError(
                f"{self.description}: its {self._config.finality} slot is {seen.final_slot} and "
                f"was {newest} before: the node is behind; the next run tries again"
            )
        return at.floor

    def _check_history(self, floor: int, seen: _Fetch) -> None:
        """Records the slots since the floor that the node no longer has."""
        first = self._node.first_available()
        if first is None or first <= floor:
            return
        seen.count("slots_without_history", first - floor)
        detail = (
            f"{self.description} has nothing before slot {first}, and this rail had read up to "
            f"slot {floor}: payments between them are missing: point "
            f"{self._config.setting('url')} to a "
            f"node that has them and run `masques rails rewind solana {floor}`"
        )
        gap = solana_transfer(self.network, f"gap {floor}", str(first))
        seen.findings.append(Finding(gap, "history_gap", detail, NAME))
        raw = json.dumps({"from_slot": floor, "to_slot": first, "network": self.network})
        seen.rejected.append(Rejected(f"{self.network}/slots", floor, "gap:slots", raw))

    def _listed(self, walk: Walk, lowest: int, at: Position, seen: _Fetch) -> list[Listed]:
        """Walks back until every account is done or a fetch is full; oldest first."""
        found: dict[str, Listed] = {}
        new: set[str] = set()
        for account in self._accounts:
            is_restarted = False
            while len(new) < TRANSACTIONS_PER_FETCH:
                place = walk.pages.get(account.address, [])
                if place is None:
                    break
                page = self._page(account.address, place, at, seen)
                if page is None:
                    # A place in the cursor may have been forked away since; a new one was not.
                    if is_restarted or not place:
                        raise RailUnavailableError(
                            f"{self.description}: a page of getSignaturesForAddress does not "
                            "begin where the one before it ended: a backend is behind or does "
                            "not know the place; the next run tries again"
                        )
                    is_restarted = True
                    walk.pages.pop(account.address, None)
                    continue
                is_restarted = True
                found |= {each.signature: each for each in page if each.slot >= lowest}
                for each in page:
                    seen.listed_for.setdefault(each.signature, set()).add(account.address)
                # Those that are not final yet do not count: they come again in every walk.
                new |= {
                    each.signature
                    for each in page
                    if lowest <= each.slot <= seen.final_slot and each.signature not in at.done
                }
                is_end = len(page) < 2 or page[-1].slot < lowest
                walk.pages[account.address] = (
                    None if is_end else [page[-2].signature, page[-1].signature]
                )
        return sorted(found.values(), key=lambda each: (each.slot, each.signature))

    def _page(
        self, address: str, place: list[str], at: Position, seen: _Fetch
    ) -> list[Listed] | None:
        """Returns a page, None when it does not continue the one before it."""
        entries = self._node.signatures(
            address,
            limit=PAGE,
            at_least=seen.final_slot,
            before=place[0] if place else None,
        )
        page = [each for each in entries if isinstance(each, Listed)]
        for number, each in enumerate(entries):
            if not isinstance(each, Listed):
                name = each.item or f"{address}/{number}"
                self._reject(seen, name, "unreadable:listed", str(each), None)
                if each.item and len(at.waiting) < WAITING_MAX:
                    at.waiting[each.item] = [UNKNOWN_SLOT, 1]
        if place and (not page or page[0].signature != place[1]):
            return None
        slots = [each.slot for each in page]
        return page if slots == sorted(slots, reverse=True) else None

    def _known(
        self, open_now: Sequence[OpenSettlement], seen: _Fetch
    ) -> dict[str, list[OpenSettlement]]:
        """Returns the recorded settlements that are not final yet, by signature."""
        known: dict[str, list[OpenSettlement]] = {}
        for each in open_now:
            if each.latest.finality and (each.latest.block_height or 0) > seen.final_slot:
                known.setdefault(each.latest.tx_hash, []).append(each)
        return known

    def _read(
        self,
        at: Position,
        listed: Iterable[Listed],
        known: Mapping[str, list[OpenSettlement]],
        seen: _Fetch,
    ) -> None:
        """Observes the transactions that succeeded; one that failed moved nothing.

        What the list says has failed is asked for in another way, before it is passed over.
        """
        due = []
        for each in listed:
            seen.ids.update(one.settlement_id for one in known.get(each.signature, ()))
            is_new = each.signature not in at.done and each.signature not in at.waiting
            if is_new and each.signature not in known:
                due.append(each)
        failed = [each.signature for each in due if each.err is not None]
        statuses = self._node.statuses(failed) if failed else {}
        paid = {name for name, status in statuses.items() if status.err is None}
        read = [each for each in due if each.err is None or each.signature in paid]
        transactions = self._node.transactions([each.signature for each in read])
        for each, transaction in zip(read, transactions, strict=True):
            is_final = each.slot <= seen.final_slot
            accounts = frozenset(seen.listed_for.get(each.signature, ()))
            expected = Expected(each.signature, each.slot, accounts)
            problem = self._observe(seen, transaction, expected, time_of(each.blockTime))
            if problem is not None and is_final:
                self._wait(at, each.signature, each.slot, problem, seen)
            # One that is not final is listed again by the next walk.
            seen.count("unanswered", int(problem is not None and not is_final))
        at.done |= {each.signature: each.slot for each in due if each.slot <= seen.final_slot}

    def _read_waiting(self, at: Position, seen: _Fetch) -> None:
        """Asks again for what the node did not answer, or not in a way that could be read."""
        signatures = sorted(at.waiting)
        for signature, transaction in zip(
            signatures, self._node.transactions(signatures), strict=True
        ):
            slot, _ = at.waiting[signature]
            problem = self._observe(seen, transaction, Expected(signature, slot), None)
            if problem is None:
                del at.waiting[signature]
            else:
                self._wait(at, signature, slot, problem, seen)

    def _wait(
        self, at: Position, signature: str, slot: int, problem: Unreadable, seen: _Fetch
    ) -> None:
        """Keeps a final signature for the next runs; one that cannot be read is rejected at once.

        It is asked for again all the same: the next backend may answer better.
        """
        is_unanswered = problem.reason.startswith("unanswered")
        runs = at.waiting.get(signature, [slot, 0])[1] + 1
        is_last = runs >= WAIT_RUNS_MAX or len(at.waiting) >= WAITING_MAX
        if (runs == 1 and not is_unanswered) or (is_last and is_unanswered):
            self._reject(seen, signature, problem.reason, problem.problem, slot)
        if is_last:
            at.waiting.pop(signature, None)
        else:
            at.waiting[signature] = [slot, runs]
        seen.count("waiting")

    def _reject(self, seen: _Fetch, name: str, reason: str, problem: str, slot: int | None) -> None:
        seen.rejected.append(self._rejected(name, reason, problem, slot))
        detail = f"{name}: {problem[:200]}: its payment is not recorded"
        found = solana_transfer(self.network, name, "")
        seen.findings.append(Finding(found, "unreadable", detail, NAME))

    def _rejected(self, name: str, reason: str, problem: str, slot: int | None) -> Rejected:
        raw = json.dumps({"slot": slot, "problem": problem[:200]})
        return Rejected(f"{self.network}/{name}", 1, reason, raw)

    def _observe(  # noqa: PLR0911 - each is another reason
        self,
        seen: _Fetch,
        transaction: Transaction | Unreadable | None,
        expected: Expected,
        time_s: int | None,
    ) -> Unreadable | None:
        """Adds what a transaction moved; returns why that is not possible."""
        if transaction is None:
            return Unreadable("unanswered:transaction", "the node lists it and does not have it")
        if isinstance(transaction, Unreadable):
            return transaction
        problem = contradiction(transaction, expected, self._accounts, seen.holders)
        if problem:
            return Unreadable("contradicts:transaction", problem)
        times = {time_of(transaction.blockTime), time_s} - {None}
        if len(times) > 1:
            return Unreadable("contradicts:blockTime", "its time is another than in the list")
        time_s = times.pop() if times else self._node.time_near(transaction.slot)
        if time_s is None:
            return Unreadable("unanswered:blockTime", "the node does not know the block's time")
        made = self._movements(seen, transaction, expected.signature, time_s)
        if made and is_ambiguous(transaction, self._accounts):
            again = self._node.transaction(expected.signature)
            if self._movements(seen, again, expected.signature, time_s) != made:
                return Unreadable("contradicts:transaction", "two answers name other sides of it")
        seen.observations.extend(made)
        seen.ids.update(each.settlement_id for each in made)
        seen.count("nothing_moved", int(not made))
        return None

    def _movements(
        self,
        seen: _Fetch,
        transaction: Transaction | Unreadable | None,
        signature: str,
        time_s: int,
    ) -> list[Observation]:
        if not isinstance(transaction, Transaction):
            return []
        context = TransactionContext(
            signature=signature,
            time_s=time_s,
            network=self._config.network,
            final_slot=seen.final_slot,
            head_slot=seen.head_slot,
            finality=self._config.finality,
        )
        known = [
            each
            for each in self._accounts
            if transaction.slot > seen.ours.get(each.address, seen.final_slot)
        ]
        made = movements(transaction, known, context)
        for each in self._accounts:
            if each in known:
                continue
            # An account that is ours later only is one of others here.
            more = movements(transaction, [each], context)
            made += [replace(one, network_fee=one.network_fee * (not made)) for one in more]
        return made

    def _resolve(self, seen: _Fetch, unseen: Sequence[OpenSettlement]) -> None:
        """Resolves open settlements that are not in the accounts' lists of signatures."""
        chosen = [each for each in unseen if each.latest.network == self._config.network]
        if not chosen:
            return
        signatures = sorted({each.latest.tx_hash for each in chosen})
        statuses = self._node.statuses([each for each in signatures if is_signature(each)])
        landed = sorted(
            signature for signature, each in statuses.items() if each.slot <= seen.final_slot
        )
        transactions = dict(zip(landed, self._node.transactions(landed), strict=True))
        final_time_s = self._node.time_before(seen.final_slot)
        known = self._known_otherwise(chosen, statuses, final_time_s)
        for each in chosen:
            tx_hash = each.latest.tx_hash
            if tx_hash in transactions:
                resolved = self._by_status(each, statuses[tx_hash], transactions[tx_hash], seen)
            elif tx_hash in statuses or tx_hash in known:
                resolved = None  # not final yet, or one of two answers is wrong
            else:
                resolved = self._by_absence(each, seen, final_time_s)
            if resolved is not None:
                seen.observations.append(resolved)

    def _known_otherwise(
        self,
        chosen: Sequence[OpenSettlement],
        statuses: Mapping[str, SignatureStatus],
        final_time_s: int | None,
    ) -> set[str]:
        """Returns announced transactions without a status that the node has all the same.

        Its indexes of statuses and of history differ; what neither has is closed.
        """
        signatures = sorted(
            {
                each.latest.tx_hash
                for each in chosen
                if is_signature(each.latest.tx_hash)
                and each.latest.tx_hash not in statuses
                and not each.latest.finality
                and _is_over(each, final_time_s)
            }
        )
        answers = self._node.transactions(signatures)
        found = zip(signatures, answers, strict=True)
        return {tx for tx, answer in found if answer is not None}

    def _by_status(
        self,
        each: OpenSettlement,
        status: SignatureStatus,
        transaction: Transaction | Unreadable | None,
        seen: _Fetch,
    ) -> Observation | None:
        """Resolves by a final transaction; `err` comes first, whatever is confirmed with it."""
        found = transaction if isinstance(transaction, Transaction) else None
        if found is None or (found.meta.err is None) != (status.err is None):
            return None  # one of the two answers is wrong: looked at again
        if found.slot != status.slot or found.transaction.signatures[0] != each.latest.tx_hash:
            return None
        if status.err is not None:
            # The signature is on the chain with its failure, and cannot land a second time.
            return replace(
                each.latest,
                source="chain",
                status="failed",
                failure_reason=f"transaction_failed: {short(status.err)}",
                finality=self._config.finality,
                block_height=status.slot,
                network_fee=network_fee(found),
                fee_currency="SOL",
                confirmations=0,
            )
        # Before the floor, or at another of our accounts.
        in_no_list = Expected(each.latest.tx_hash, status.slot, frozenset())
        problem = self._observe(seen, found, in_no_list, None)
        if problem is not None or each.settlement_id in seen.ids:
            return None
        return self._in_parts(each, seen) or self._paid_otherwise(each, found, seen)

    def _in_parts(self, each: OpenSettlement, seen: _Fetch) -> Observation | None:
        """Returns what was announced or recorded as one payment and is one of each payer, if so.

        The part of the payer that the line names takes over what the line says.
        """
        latest = each.latest
        parts = [
            one
            for one in seen.observations
            if one.attributes.get(PART_OF) == str(each.settlement_id)
        ]
        if not parts:
            return None
        own = next((one for one in parts if one.payer == latest.payer), parts[0])
        if own.payer == latest.payer:
            said = {key: v for key, v in latest.attributes.items() if key in ADDED_TO_CHAIN}
            attributes = {**said, **own.attributes}
            seen.observations.append(replace(own, protocol=latest.protocol, attributes=attributes))
        return replace(
            latest,
            source="chain",
            status="superseded",
            failure_reason="",
            finality=self._config.finality,
            block_height=own.block_height,
            attributes={**latest.attributes, SUPERSEDED_BY: str(own.settlement_id)},
        )

    def _paid_otherwise(
        self, each: OpenSettlement, found: Transaction, seen: _Fetch
    ) -> Observation:
        """Resolves an announcement whose transaction succeeded and did not do what it says."""
        latest = each.latest
        if any(one.tx_hash == latest.tx_hash for one in seen.observations):
            return each.closed("recorded_under_transaction")
        if latest.direction == "in" and latest.to_address not in self._config.treasury:
            return each.closed("receiver_is_not_ours")
        if is_paid_elsewhere(found, latest.to_address, latest.asset):
            return each.closed("paid_another_account")
        return replace(
            latest,
            source="chain",
            status="failed",
            failure_reason="paid_nothing_to_us" if latest.direction == "in" else "paid_nothing",
            finality=self._config.finality,
            block_height=found.slot,
            confirmations=0,
        )

    def _recheck(self, at: Position, seen: _Fetch) -> bool:
        """Asks for payments that are recorded as confirmed in slots that are read again.

        One that the cluster knows in no way any more, and that cannot land again, is not confirmed.

        Returns:
            Whether this was the last part of those that can be decided now.
        """
        first, last = at.reread or (0, -1)
        until = min(last, seen.final_slot - BLOCKHASH_SLOTS - 1)
        if first > until:
            return True
        recorded = self._recorded(first, until)
        end = until
        if len(recorded) > RECHECK_MAX:
            end = recorded[RECHECK_MAX - 1].latest.block_height or until
        chunk = [each for each in recorded if (each.latest.block_height or 0) <= end]
        at.reread = None if end >= last else (end + 1, last)
        unseen = [
            each
            for each in chunk
            if each.latest.network == self.network and each.settlement_id not in seen.ids
        ]
        signatures = sorted({each.latest.tx_hash for each in unseen})
        statuses = self._node.statuses(signatures)
        missing = [each for each in signatures if each not in statuses]
        answers = dict(zip(missing, self._node.transactions(missing), strict=True))
        available = self._node.first_available() or 0
        # Written before the payers of a transaction were told apart.
        whole = [each for each in unseen if PAYERS in each.latest.attributes]
        for each, found in zip(
            whole, self._node.transactions([e.latest.tx_hash for e in whole]), strict=True
        ):
            slot = each.latest.block_height or UNKNOWN_SLOT
            expected = Expected(each.latest.tx_hash, slot, frozenset())
            self._observe(seen, found, expected, None)
            if parts := self._in_parts(each, seen):
                seen.observations.append(parts)
        for each in unseen:
            is_gone = each.latest.tx_hash in answers and answers[each.latest.tx_hash] is None
            if is_gone and available <= (each.latest.block_height or 0):
                seen.observations.append(each.closed("forked_away", block_height=None))
        seen.count("recorded_not_seen", len(unseen))
        return end >= until

    def _by_absence(
        self, each: OpenSettlement, seen: _Fetch, final_time_s: int | None
    ) -> Observation | None:
        """Closes a payment that the cluster does not know once it can no longer land: unknown."""
        latest = each.latest
        if latest.finality and latest.block_height is not None:
            if seen.final_slot <= latest.block_height + BLOCKHASH_SLOTS:
                return None
            # Asked once more in another way: the indexes of statuses and of history differ.
            is_known = self._node.transaction(latest.tx_hash) is not None
            return None if is_known else each.closed("forked_away", block_height=None)
        if not _is_over(each, final_time_s):
            return None
        if latest.tx_hash and not is_signature(latest.tx_hash):
            return each.closed("not_a_signature")
        return each.closed("transaction_not_found" if latest.tx_hash else "never_sent")

    def _readings(
        self,
        at: Position,
        held: Mapping[str, tuple[str, str, int]],
        slot: int,
        time_s: int | None,
    ) -> list[BalanceReading]:
        """Returns the balances of our accounts; not known while a transaction is waited for."""
        if time_s is None:
            return []
        problem = ""
        if any(each_slot <= slot for each_slot, _ in at.waiting.values()):
            problem = f"{len(at.waiting)} listed transactions are not answered yet"
        return [
            BalanceReading(
                asset=each.mint.address,
                address=each.address,
                currency=each.mint.symbol,
                balance=None if problem else whole_units(_units_of(each, held), each.mint.decimals),
                block=slot,
                read_at_ns=time_s * 10**9,
                finality=self._config.finality,
                problem=problem,
            )
            for each in self._accounts
        ]


def _is_over(each: OpenSettlement, final_time_s: int | None) -> bool:
    """Returns whether an announced transaction cannot land any more."""
    announced_s = each.latest.timestamp_ns // 10**9
    return final_time_s is not None and final_time_s > max(
        announced_s + BLOCKHASH_LIFE_S, min(each.deadline_s or 0, announced_s + DEADLINE_MAX_S)
    )


def _units_of(account: Account, held: Mapping[str, tuple[str, str, int]]) -> int:
    """Returns what an account of ours holds; one that was given away holds nothing of ours."""
    mint, owner, units = held.get(account.address, (account.mint.address, account.owner, 0))
    return units if (mint, owner) == (account.mint.address, account.owner) else 0


def _slot_of(rejected: Rejected) -> int | None:
    """Returns the slot that a transaction was listed with, None when it was not known."""
    try:
        slot = json.loads(rejected.raw).get("slot")
    except (ValueError, AttributeError):
        return None
    return slot if isinstance(slot, int) else None


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[SolanaRail]:
    configured = context.configured
    config = SolanaConfig(
        network=configured.network,
        treasury=configured.treasury,
        mints=_mints(configured),
        finality=configured.finality,
        start_slot=configured.start,
        setting=configured.place,
    )
    headers = bearer_headers(configured.credential_file, configured.place("credential_file"))
    with open_endpoint(configured, headers=headers) as node:
        yield SolanaRail(JsonRpc(node), config, context.open_settlements, context.recorded)


def _check(configured: RailSettings) -> None:
    for wallet in configured.treasury:
        if not is_address(wallet):
            raise SettingError(
                f"{configured.place('treasury')}: {wallet!r} is not an address of 32 bytes: give "
                "the wallet's base58 address"
            )
    _mints(configured)


def _assets(configured: RailSettings) -> Mapping[tuple[str, str], Asset]:
    return {(configured.network, each.address): each for each in _mints(configured)}


def _mints(configured: RailSettings) -> tuple[Asset, ...]:
    return parse_assets(configured.assets, configured.place("assets"), is_address=is_address)


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="slot",
    open=_open,
    network=lambda configured: configured.network,
    position=lambda cursor: int(cursor["floor"]),
    rewind=rewound,
    check=_check,
    assets=_assets,
    normalize_payer=str,
)
