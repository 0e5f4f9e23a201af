"""Reads Base: token transfers to and from the treasury on an OP-stack chain.

A fetch scans the blocks that are new or not final yet, then resolves what is still open. From an
older cursor it gives the same settlements: blocks below the finality do not change.

All blocks above the final one are scanned in every fetch, so a reorganisation needs no special
path: a payment that moved is observed in its new block under the same id. Only final blocks move
the cursor.
"""

import contextlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from masques_pipelines.errors import SettingError
from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.open_settlements import OpenSettlementResolver
from masques_pipelines.rails.base.transfers import (
    TRANSFER,
    Transfer,
    address_topic,
    network_fee,
    transfers,
)
from masques_pipelines.rails.base.window import BaseConfig, Block, ChainPosition, Window
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
    Rejected,
)
from masques_pipelines.rails.settlement_ids import base_authorization, base_transfer
from masques_pipelines.settings import RailSettings, Settings

NAME: Final = "base"
CURSOR_VERSION: Final = 1
# One fetch is one insert: some thousands of blocks keep it small and a restart cheap.
BLOCKS_PER_FETCH: Final = 10_000
# The last argument of eth_getBlockByNumber: without the transactions.
HEADER_ONLY: Final = False
_ADDRESS_LENGTH: Final = 42


class BaseRail:
    """Transfers of allowed tokens from and to the treasury."""

    name = NAME

    def __init__(self, rpc: JsonRpc, config: BaseConfig, open_settlements: OpenSettlements) -> None:
        self.network = config.network
        self.description = rpc.node.description
        self._rpc = rpc
        self._config = config
        self._assets = {asset.address: asset for asset in config.assets}
        self._open_settlements = open_settlements
        self._logs = LogReader(rpc)
        self._is_checked = False

    @property
    def calls(self) -> int:
        """Requests made so far."""
        return self._rpc.node.calls

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        """Returns the transfers after the cursor and the open settlements that were resolved.

        Raises:
            RailUnavailableError: The node is down, busy, behind or contradicts itself.
            RailRefusedError: The node belongs to another chain, or the chain changed below its
                finality.
        """
        self._check_chain()
        window = self._window()
        start = self._start(cursor, window)
        refused_before = self._logs.refusals
        last = min(window.head, start["next"] + BLOCKS_PER_FETCH - 1)
        open_now = {each.settlement_id: each for each in self._open_settlements()}
        self._scan(window, start["next"], last, open_now)
        is_caught_up = last == window.head
        if is_caught_up:
            resolver = OpenSettlementResolver(
                self._rpc, self._config, window, start, observe=self.observe, header=self.header
            )
            resolver.resolve([each for key, each in open_now.items() if key not in window.seen])
        done = min(last, window.final_number)
        return FetchResult(
            observations=window.observations,
            cursor=self._next_cursor(start, window, done),
            is_caught_up=is_caught_up,
            position=done,
            behind=window.head - done,
            rejected=window.rejected,
            notes={**window.notes, "ranges_refused": self._logs.refusals - refused_before},
        )

    def header(self, block: int | str) -> Block:
        """Returns a block's header, without its transactions.

        Raises:
            RailUnavailableError: The node does not have it: it is behind.
        """
        number = hex(block) if isinstance(block, int) else block
        found = self._rpc.call("eth_getBlockByNumber", number, HEADER_ONLY)
        if not isinstance(found, dict) or "number" not in found:
            raise RailUnavailableError(
                f"{self.description}: it does not have block {block}: the node is behind or does "
                "not know this tag; the next run tries again"
            )
        return found

    def _check_chain(self) -> None:
        if self._is_checked:
            return
        expected = self._config.network.removeprefix("eip155:")
        answered = int(self._rpc.call("eth_chainId"), 16)
        if str(answered) != expected:
            raise RailRefusedError(
                f"{self.description}: it serves chain {answered}, and MASQUES_BASE_NETWORK is "
                f"{self._config.network}: give MASQUES_BASE_RPC_URL a node of that chain"
            )
        self._is_checked = True

    def _window(self) -> Window:
        # The final block first: a block that is final now is so for every later answer.
        final = self.header(self._config.finality)
        head = int(self._rpc.call("eth_blockNumber"), 16)
        if head < int(final["number"], 16):
            raise RailUnavailableError(
                f"{self.description}: its newest block {head} is older than its "
                f"{self._config.finality} block {int(final['number'], 16)}: several nodes "
                "answer under this address; the next run tries again"
            )
        return Window(final=final, head=head)

    def _start(self, cursor: Cursor | None, window: Window) -> dict[str, Any]:
        """Returns the cursor to continue from, checked against the node."""
        if cursor is None or "since" not in cursor:
            first = cursor["next"] if cursor else self._config.start_block
            number = window.final_number if first is None else min(first, window.head)
            header = self.header(number)
            return {
                "v": CURSOR_VERSION,
                "next": number,
                "since": {"block": number, "time_s": int(header["timestamp"], 16)},
            }
        anchor = cursor.get("anchor")
        if anchor and anchor["number"] > window.final_number:
            raise RailUnavailableError(
                f"{self.description}: its {self._config.finality} block is "
                f"{window.final_number} and was {anchor['number']} before: the node is behind; the "
                "next run tries again"
            )
        if anchor and self.header(anchor["number"])["hash"] != anchor["hash"]:
            raise RailRefusedError(
                f"{self.description}: block {anchor['number']} was {anchor['hash']} when it was "
                f"{self._config.finality} and is another now: this is another chain, or a "
                "reorganisation below the finality; see docs/rails.md, 'When a chain contradicts "
                "itself'"
            )
        return dict(cursor)

    def _next_cursor(self, start: Mapping[str, Any], window: Window, done: int) -> Cursor:
        if done < start["next"]:
            return dict(start)
        header = window.final if done == window.final_number else self.header(done)
        return {
            **start,
            "next": done + 1,
            "anchor": {"number": done, "hash": header["hash"]},
        }

    def _scan(
        self, window: Window, first: int, last: int, open_now: Mapping[Any, OpenSettlement]
    ) -> None:
        """Observes the transfers of blocks first…last."""
        ours = [address_topic(address) for address in sorted(self._config.treasury)]
        addresses = sorted(self._assets)
        positions: dict[str, ChainPosition] = {}
        zero = 0
        for topics in ([TRANSFER, None, ours], [TRANSFER, ours]):
            query = {"address": addresses, "topics": topics}
            for log in self._logs.read(query, first, last):
                if int(log["data"], 16) == 0:
                    zero += 1
                else:
                    position = ChainPosition(log["blockHash"], int(log["blockNumber"], 16))
                    positions[log["transactionHash"]] = position
        window.notes["zero_value_skipped"] = zero
        fresh = self._unrecorded(positions, window, open_now)
        receipts = self._rpc.batch("eth_getTransactionReceipt", [[tx] for tx in fresh])
        agreeing = [
            receipt
            for tx, receipt in zip(fresh, receipts, strict=True)
            if self._agrees(receipt, positions[tx], window)
        ]
        self.observe(window, agreeing)

    def _unrecorded(
        self,
        positions: Mapping[str, ChainPosition],
        window: Window,
        open_now: Mapping[Any, OpenSettlement],
    ) -> list[str]:
        """Returns the transactions that are not recorded in the same, not yet final block."""
        recorded: dict[tuple[str, str], list[Any]] = {}
        for key, each in open_now.items():
            latest = each.latest
            if (latest.block_height or 0) > window.final_number:
                recorded.setdefault((latest.tx_hash, latest.block_hash), []).append(key)
        for tx, position in positions.items():
            window.seen.update(recorded.get((tx, position.block_hash), ()))
        return [
            tx for tx, position in positions.items() if (tx, position.block_hash) not in recorded
        ]

    def _agrees(self, receipt: Any, position: ChainPosition, window: Window) -> bool:
        """Returns whether receipt and log are of one block: two replicas may differ for a moment.

        Above the final block the next fetch reads it again; at or below it no other fetch does.
        """
        if receipt and receipt["blockHash"] == position.block_hash:
            return True
        window.count("receipts_disagree")
        if position.number <= window.final_number:
            raise RailUnavailableError(
                f"{self.description}: a log and its receipt disagree about their block: several "
                "nodes answer under this address, or a reorganisation is going on; the next run "
                "tries again"
            )
        return False

    def observe(self, window: Window, receipts: Sequence[Mapping[str, Any]]) -> list[Observation]:
        """Adds the payments of receipts to the window, and returns them."""
        numbers = sorted({int(receipt["blockNumber"], 16) for receipt in receipts})
        headers = self._rpc.batch("eth_getBlockByNumber", [[hex(n), HEADER_ONLY] for n in numbers])
        times_s = {
            number: int(header["timestamp"], 16)
            for number, header in zip(numbers, headers, strict=True)
            if header
        }
        made: list[Observation] = []
        for receipt in receipts:
            number = int(receipt["blockNumber"], 16)
            if number not in times_s:
                raise RailUnavailableError(
                    f"{self.description}: it answered a receipt of block {number} and does not "
                    "have that block: the node is behind; the next run tries again"
                )
            made.extend(self._payments(window, receipt, times_s[number]))
        window.observations.extend(made)
        window.seen.update(each.settlement_id for each in made)
        return made

    def _payments(
        self, window: Window, receipt: Mapping[str, Any], time_s: int
    ) -> Iterable[Observation]:
        fee = network_fee(receipt)
        for moved in transfers(receipt, self._assets, self._config.treasury):
            if moved.units == 0:
                continue
            if moved.sender in self._config.treasury and moved.receiver in self._config.treasury:
                window.count("internal_skipped")  # no money came in or went out
                continue
            amount = whole_units(moved.units, moved.asset.decimals)
            if not is_representable(amount):
                window.rejected.append(_rejected(self._config.network, receipt, moved))
                continue
            yield self._observation(window, receipt, moved, time_s, fee)
            fee *= 0  # a transaction's fee is recorded once

    def _observation(
        self,
        window: Window,
        receipt: Mapping[str, Any],
        moved: Transfer,
        time_s: int,
        fee: Any,
    ) -> Observation:
        number, tx_hash = int(receipt["blockNumber"], 16), receipt["transactionHash"]
        is_final = number <= window.final_number
        network = self._config.network
        return Observation(
            settlement_id=_id_of(network, tx_hash, moved),
            source="chain",
            rail=NAME,
            network=network,
            direction="in" if moved.receiver in self._config.treasury else "out",
            status="confirmed" if is_final else "pending",
            amount=whole_units(moved.units, moved.asset.decimals),
            currency=moved.asset.symbol,
            timestamp_ns=time_s * 10**9,
            asset=moved.asset.address,
            to_address=moved.receiver,
            payer=moved.sender,
            payment_ref=moved.nonce or tx_hash,
            protocol="x402" if moved.nonce else "",
            tx_hash=tx_hash,
            block_height=number,
            block_hash=receipt["blockHash"],
            confirmations=max(0, window.head - number + 1),
            finality=self._config.finality if is_final else "latest",
            network_fee=fee,
            fee_currency="ETH",
            attributes={"submitted_by": receipt["from"].lower()},
        )


def _id_of(network: str, tx_hash: str, moved: Transfer) -> uuid.UUID:
    if moved.nonce:
        return base_authorization(network, moved.asset.address, moved.sender, moved.nonce)
    return base_transfer(network, tx_hash, moved.ordinal)


def _rejected(network: str, receipt: Mapping[str, Any], moved: Transfer) -> Rejected:
    return Rejected(
        source=f"{network}:{receipt['transactionHash']}",
        line_no=moved.ordinal + 1,
        reason="out_of_range:amount",
        raw=json.dumps(receipt["logs"][moved.ordinal], sort_keys=True),
    )


@contextlib.contextmanager
def _open(context: RailContext) -> Iterator[BaseRail]:
    configured = context.settings.base
    for address in configured.treasury:
        if not _is_address(address):
            raise SettingError(
                f"MASQUES_BASE_TREASURY: {address!r} is not an address of 20 bytes: give 0x and 40 "
                "hex digits"
            )
    config = BaseConfig(
        network=configured.network,
        treasury=frozenset(address.lower() for address in configured.treasury),
        assets=_tokens(configured),
        finality=configured.finality,
        start_block=configured.start,
    )
    headers = bearer_headers(configured.credential_file, "MASQUES_BASE_BEARER_FILE")
    with open_endpoint(configured, headers=headers) as node:
        yield BaseRail(JsonRpc(node), config, context.open_settlements)


def _rewind(cursor: Cursor, position: int) -> Cursor:
    earlier = {**cursor, "next": position}
    earlier.pop("anchor", None)  # a block that may be the wrong one is why people rewind
    if "since" in cursor and position < cursor["since"]["block"]:
        earlier.pop("since")  # the rail asks the node for the time of its new start
    return earlier


def _assets(settings: Settings) -> Mapping[tuple[str, str], Asset]:
    return {(settings.base.network, each.address): each for each in _tokens(settings.base)}


def _tokens(configured: RailSettings) -> tuple[Asset, ...]:
    return parse_assets(
        configured.assets, "MASQUES_BASE_ASSETS", is_address=_is_address, normalize=str.lower
    )


def _is_address(text: str) -> bool:
    digits = text.lower().removeprefix("0x")
    return len(text) == _ADDRESS_LENGTH and all(c in "0123456789abcdef" for c in digits)


DESCRIPTOR: Final = RailDescriptor(
    name=NAME,
    unit="block",
    open=_open,
    network=lambda settings: settings.base.network,
    position=lambda cursor: int(cursor["next"]),
    endpoint_variable="MASQUES_BASE_RPC_URL",
    endpoint=lambda settings: settings.base.url,
    rewind=_rewind,
    assets=_assets,
    # An EVM address has no case of its own; mixed case is only a checksum.
    normalize_payer=str.lower,
)
