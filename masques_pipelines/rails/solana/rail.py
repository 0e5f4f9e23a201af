"""Reads Solana: tokens that reached and left the treasury's token accounts.

A fetch lists signatures down to a slot floor, reads their transactions, then resolves what is still
open. From an older floor it gives the same settlements; signatures already done are not read again.

A signature is not usable as a cursor: an unknown `until` silently answers the newest page, and the
order inside a slot differs between nodes. The floor is a finalized slot, and each fetch reads
OVERLAP_SLOTS below it for what a lagging index did not list.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.endpoint import bearer_headers, open_endpoint, parse_assets
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    Asset,
    Cursor,
    FetchResult,
    Observation,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
)
from masques_pipelines.rails.solana.addresses import associated_token_account, is_address
from masques_pipelines.rails.solana.transfers import (
    Account,
    TransactionContext,
    movement,
    network_fee,
)
from masques_pipelines.settings import RailSettings, Settings

NAME: Final = "solana"
CURSOR_VERSION: Final = 1
OVERLAP_SLOTS: Final = 64
PAGE: Final = 1_000
# Transactions of one fetch; the rest waits for the next fetch, so that one insert stays small.
TRANSACTIONS_PER_FETCH: Final = 1_000
STATUSES_PER_CALL: Final = 256
# A blockhash is valid for 150 blocks; a transaction that has not landed by then never will.
BLOCKHASH_SLOTS: Final = 150
OPEN_MAX: Final = 1_024
_TRANSACTION_OPTIONS: Final = {
    "encoding": "jsonParsed",
    "maxSupportedTransactionVersion": 0,
    "commitment": "confirmed",
}


@dataclass(frozen=True)
class SolanaConfig:
    """The configuration of the rail.

    Attributes:
        network: CAIP-2 id; its reference is the beginning of the genesis hash.
        treasury: Our wallets, whose associated token accounts are read.
        mints: Tokens that count as money.
        finality: The commitment from which on a payment is final: finalized or confirmed.
        start_slot: First slot to read; None starts at the slot that is final in the first fetch.
    """

    network: str
    treasury: tuple[str, ...]
    mints: tuple[Asset, ...]
    finality: str = "finalized"
    start_slot: int | None = None


@dataclass
class _Fetch:
    """What one fetch has observed so far."""

    final_slot: int
    head_slot: int
    observations: list[Observation] = field(default_factory=list)
    ids: set[Any] = field(default_factory=set)
    charged: set[str] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)


class SolanaRail:
    """Movements of the treasury's token accounts."""

    name = NAME

    def __init__(
        self, rpc: JsonRpc, config: SolanaConfig, open_settlements: OpenSettlements
    ) -> None:
        self.network = config.network
        self.description = rpc.node.description
        self._rpc = rpc
        self._config = config
        self._open_settlements = open_settlements
        self._is_checked = False
        self._accounts = tuple(
            Account(associated_token_account(owner, mint.address), owner, mint)
            for owner in config.treasury
            for mint in config.mints
        )

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._rpc.node.calls

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the movements after the cursor and the open settlements that were resolved.

        Raises:
            RailUnavailableError: The node is down, busy or behind.
            RailRefusedError: The node belongs to another cluster.
        """
        self._check_cluster()
        seen = _Fetch(
            final_slot=self._slot(self._config.finality), head_slot=self._slot("confirmed")
        )
        floor = self._floor(cursor, seen)
        done = set((cursor or {}).get("done", ()))
        found = self._signatures(floor - OVERLAP_SLOTS)
        open_now = {each.settlement_id: each for each in self._open_settlements()}
        known = self._known(open_now, seen)
        due = [
            each
            for each in found
            if self._key(each) not in done and not self._is_known(each, known, seen)
        ]
        now_due = due[:TRANSACTIONS_PER_FETCH]
        self._read(now_due, seen)
        is_caught_up = len(now_due) == len(due)
        if is_caught_up:
            self._resolve(seen, [each for key, each in open_now.items() if key not in seen.ids])
        next_floor = seen.final_slot if is_caught_up else now_due[-1]["slot"]
        next_floor = max(floor, min(next_floor, seen.final_slot))
        finished = done | {
            self._key(each)
            for each in (found if is_caught_up else now_due)
            if each["slot"] <= seen.final_slot
        }
        slots = {self._key(each): each["slot"] for each in found}
        return FetchResult(
            observations=seen.observations,
            cursor={
                "v": CURSOR_VERSION,
                "floor": next_floor,
                "since_slot": (cursor or {}).get("since_slot", floor),
                "done": sorted(
                    key for key in finished if slots.get(key, -1) >= next_floor - OVERLAP_SLOTS
                ),
            },
            is_caught_up=is_caught_up,
            position=next_floor,
            behind=max(0, seen.head_slot - next_floor),
            notes=seen.notes,
        )

    def _check_cluster(self) -> None:
        if self._is_checked:
            return
        genesis = str(self._rpc.call("getGenesisHash"))
        reference = self._config.network.removeprefix("solana:")
        if genesis[: len(reference)] != reference:
            raise RailRefusedError(
                f"{self.description}: its genesis is {genesis[:32]}, and MASQUES_SOLANA_NETWORK is "
                f"{self._config.network}: give MASQUES_SOLANA_RPC_URL a node of that cluster"
            )
        self._is_checked = True

    def _slot(self, commitment: str) -> int:
        return int(self._rpc.call("getSlot", {"commitment": commitment}))

    def _floor(self, cursor: Cursor | None, seen: _Fetch) -> int:
        if cursor is None:
            start = self._config.start_slot
            return seen.final_slot if start is None else min(start, seen.final_slot)
        floor = int(cursor["floor"])
        if floor > seen.final_slot:
            raise RailUnavailableError(
                f"{self.description}: its {self._config.finality} slot is {seen.final_slot} and "
                f"was {floor} before: the node is behind; the next run tries again"
            )
        return floor

    def _signatures(self, floor: int) -> list[dict[str, Any]]:
        """Returns the signatures of all our accounts from the floor on, oldest first."""
        found: list[dict[str, Any]] = []
        for account in self._accounts:
            before: str | None = None
            while True:
                options = {"limit": PAGE, "commitment": "confirmed"}
                if before is not None:
                    options["before"] = before
                page = self._rpc.call("getSignaturesForAddress", account.address, options)
                if not isinstance(page, list):
                    raise RailUnavailableError(
                        f"{self.description}: getSignaturesForAddress did not answer a list: check "
                        "that it is a Solana node with history; the next run tries again"
                    )
                found.extend({**each, "account": account} for each in page if each["slot"] >= floor)
                if not page or page[-1]["slot"] < floor or page[-1]["signature"] == before:
                    break
                before = page[-1]["signature"]
        return sorted(found, key=lambda each: (each["slot"], each["signature"]))

    @staticmethod
    def _key(each: Mapping[str, Any]) -> str:
        return f"{each['signature']}:{each['account'].address}"

    def _known(self, open_now: Mapping[Any, OpenSettlement], seen: _Fetch) -> dict[str, list[Any]]:
        """Returns the recorded settlements that are not final yet, by signature."""
        known: dict[str, list[Any]] = {}
        for key, each in open_now.items():
            if each.latest.finality and (each.latest.block_height or 0) > seen.final_slot:
                known.setdefault(each.latest.tx_hash, []).append(key)
        return known

    def _is_known(
        self, each: Mapping[str, Any], known: Mapping[str, list[Any]], seen: _Fetch
    ) -> bool:
        ids = known.get(each["signature"], [])
        seen.ids.update(ids)
        return bool(ids)

    def _read(self, due: Sequence[Mapping[str, Any]], seen: _Fetch) -> None:
        """Observes the transactions that succeeded; one that failed moved nothing."""
        read = [each for each in due if each["err"] is None]
        transactions = self._rpc.batch(
            "getTransaction", [[each["signature"], _TRANSACTION_OPTIONS] for each in read]
        )
        for each, transaction in zip(read, transactions, strict=True):
            if transaction is None:
                raise RailUnavailableError(
                    f"{self.description}: it lists signature {each['signature']} and does not have "
                    "its transaction: the node is behind; the next run tries again"
                )
            self._observe(seen, transaction, each["signature"], each["account"])

    def _observe(
        self, seen: _Fetch, transaction: Mapping[str, Any], signature: str, account: Account
    ) -> Observation | None:
        context = TransactionContext(
            signature=signature,
            network=self._config.network,
            final_slot=seen.final_slot,
            head_slot=seen.head_slot,
            finality=self._config.finality,
        )
        made = movement(transaction, account, context)
        if made is None:
            seen.notes["nothing_moved"] = seen.notes.get("nothing_moved", 0) + 1
        elif made.to_address in self._config.treasury and made.payer in self._config.treasury:
            seen.notes["internal_skipped"] = seen.notes.get("internal_skipped", 0) + 1
        else:
            if signature in seen.charged:  # a transaction's fee is recorded once
                made = replace(made, network_fee=Decimal(0))
            seen.charged.add(signature)
            seen.observations.append(made)
            seen.ids.add(made.settlement_id)
        return made

    def _resolve(self, seen: _Fetch, unseen: Sequence[OpenSettlement]) -> None:
        """Resolves open settlements that are not in the accounts' lists of signatures."""
        chosen = [each for each in unseen if each.latest.network == self._config.network]
        chosen = sorted(chosen, key=lambda each: each.latest.timestamp_ns)[:OPEN_MAX]
        signatures = sorted({each.latest.tx_hash for each in chosen if each.latest.tx_hash})
        statuses: dict[str, Any] = {}
        for start in range(0, len(signatures), STATUSES_PER_CALL):
            chunk = signatures[start : start + STATUSES_PER_CALL]
            answer = self._rpc.call(
                "getSignatureStatuses", chunk, {"searchTransactionHistory": True}
            )
            statuses.update(zip(chunk, answer["value"], strict=True))
        final_time_s = self._time_of(seen.final_slot) if chosen else 0
        for each in chosen:
            status = statuses.get(each.latest.tx_hash)
            resolved = (
                self._by_status(each, status, seen)
                if status is not None
                else self._by_absence(each, seen, final_time_s)
            )
            if resolved is not None:
                seen.observations.append(resolved)

    def _by_status(
        self, each: OpenSettlement, status: Mapping[str, Any], seen: _Fetch
    ) -> Observation | None:
        """Resolves by a transaction's status; `err` comes first, whatever is confirmed with it."""
        if status["slot"] > seen.final_slot:
            return None
        transaction = self._rpc.call("getTransaction", each.latest.tx_hash, _TRANSACTION_OPTIONS)
        if status["err"] is not None:
            return replace(
                each.latest,
                source="chain",
                status="failed",
                failure_reason=f"transaction_failed: {_short(status['err'])}",
                finality=self._config.finality,
                block_height=status["slot"],
                network_fee=network_fee(transaction) if transaction else each.latest.network_fee,
                fee_currency="SOL",
                confirmations=0,
            )
        if transaction is None:
            return None
        for account in self._accounts:  # landed before the floor, or at another account
            made = self._observe(seen, transaction, each.latest.tx_hash, account)
            if made is not None and made.settlement_id == each.settlement_id:
                return None
        return self._failed(each, "paid_nothing_to_us", each.latest.timestamp_ns)

    def _by_absence(
        self, each: OpenSettlement, seen: _Fetch, final_time_s: int
    ) -> Observation | None:
        """Resolves a payment that the cluster does not know, once it can no longer land."""
        latest = each.latest
        if latest.block_height is not None:
            if seen.final_slot <= latest.block_height + BLOCKHASH_SLOTS:
                return None
            # Asked once more in another way: the indexes of statuses and of history differ.
            if self._rpc.call("getTransaction", latest.tx_hash, _TRANSACTION_OPTIONS) is not None:
                return None
            return self._failed(each, "forked_away", latest.timestamp_ns)
        if each.deadline_s is None or final_time_s <= each.deadline_s:
            return None
        reason = "transaction_not_found" if latest.tx_hash else "never_sent"
        return self._failed(each, reason, each.deadline_s * 10**9)

    def _failed(self, each: OpenSettlement, reason: str, timestamp_ns: int) -> Observation:
        return replace(
            each.latest,
            source="chain",
            status="failed",
            failure_reason=reason,
            finality=self._config.finality,
            timestamp_ns=timestamp_ns,
            block_height=None,
            confirmations=0,
        )

    def _time_of(self, slot: int) -> int:
        """Returns the time of a slot, seconds since 1970; 0 when the node does not know it."""
        return int(self._rpc.call("getBlockTime", slot) or 0)


def _short(error: Any) -> str:
    """Returns a transaction's error as one short line."""
    return str(error).replace("'", "").replace("{", "").replace("}", "")[:200]


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[SolanaRail]:
    configured = context.settings.solana
    for wallet in configured.treasury:
        if not is_address(wallet):
            raise SettingError(
                f"MASQUES_SOLANA_TREASURY: {wallet!r} is not an address of 32 bytes: give the "
                "wallet's base58 address"
            )
    config = SolanaConfig(
        network=configured.network,
        treasury=configured.treasury,
        mints=_mints(configured),
        finality=configured.finality,
        start_slot=configured.start,
    )
    headers = bearer_headers(configured.credential_file, "MASQUES_SOLANA_BEARER_FILE")
    with open_endpoint(configured, headers=headers) as node:
        yield SolanaRail(JsonRpc(node), config, context.open_settlements)


def _rewind(cursor: Cursor, position: int) -> Cursor:
    return {**cursor, "floor": position, "done": []}


def _assets(settings: Settings) -> Mapping[tuple[str, str], Asset]:
    return {(settings.solana.network, each.address): each for each in _mints(settings.solana)}


def _mints(configured: RailSettings) -> tuple[Asset, ...]:
    return parse_assets(configured.assets, "MASQUES_SOLANA_MINTS", is_address=is_address)


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="slot",
    open=_open,
    network=lambda settings: settings.solana.network,
    position=lambda cursor: int(cursor["floor"]),
    endpoint_variable="MASQUES_SOLANA_RPC_URL",
    endpoint=lambda settings: settings.solana.url,
    rewind=_rewind,
    assets=_assets,
    normalize_payer=str,
)
