"""The rail Base: token transfers to and from the treasury on an OP-stack chain.

Here: one fetch: scan the blocks that are not final yet or new, then look at what is still open.
Not here: logs and ranges (evm_logs.py), receipts (evm_transfers.py), revisions (revisions.py).
A re-run from an older cursor gives the same settlements: blocks do not change below the finality.

All blocks above the final one are scanned at every fetch, so a reorganisation needs no special
path: what moved is seen at its new place under the same id. Only what is final moves the cursor.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails import settlement_ids as identity
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.open_settlements import OpenOnBase
from masques_pipelines.rails.base.transfers import (
    TRANSFER,
    Transfer,
    address_topic,
    network_fee,
    transfers,
)
from masques_pipelines.rails.base.window import BaseConfig, Block, Place, Window
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    Cursor,
    Fetched,
    Observation,
    OpenSettlement,
    OpenSettlements,
    RailRefusedError,
    RailUnavailableError,
    Refused,
)

NAME: Final = "base"
CURSOR_VERSION: Final = 1
# One fetch is one insert: some thousand blocks keep it small and a restart cheap.
BLOCKS_PER_FETCH: Final = 10_000
# The last argument of eth_getBlockByNumber: without the transactions.
HEADER_ONLY: Final = False


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

    def fetch(self, cursor: Cursor | None) -> Fetched:
        """Returns the transfers after the cursor and what became of open settlements.

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
            OpenOnBase(
                self._rpc, self._config, window, start, observe=self.observe, header=self.header
            ).look([each for key, each in open_now.items() if key not in window.seen])
        done = min(last, window.final_number)
        return Fetched(
            observations=window.observations,
            cursor=self._next_cursor(start, window, done),
            is_caught_up=is_caught_up,
            position=done,
            behind=window.head - done,
            refused=window.refused,
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
        """Returns the cursor to go on from, checked against the node."""
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
        """Reads the transfers of blocks first…last."""
        ours = [address_topic(address) for address in sorted(self._config.treasury)]
        addresses = sorted(self._assets)
        places: dict[str, Place] = {}
        zero = 0
        for topics in ([TRANSFER, None, ours], [TRANSFER, ours]):
            query = {"address": addresses, "topics": topics}
            for log in self._logs.read(query, first, last):
                if int(log["data"], 16) == 0:
                    zero += 1
                else:
                    place = Place(log["blockHash"], int(log["blockNumber"], 16))
                    places[log["transactionHash"]] = place
        window.notes["zero_value_skipped"] = zero
        fresh = self._without_known(places, window, open_now)
        receipts = self._rpc.batch("eth_getTransactionReceipt", [[tx] for tx in fresh])
        agreeing = [
            receipt
            for tx, receipt in zip(fresh, receipts, strict=True)
            if self._agrees(receipt, places[tx], window)
        ]
        self.observe(window, agreeing)

    def _without_known(
        self, places: Mapping[str, Place], window: Window, open_now: Mapping[Any, OpenSettlement]
    ) -> list[str]:
        """Leaves out transactions whose place is written down already and is not final yet."""
        known: dict[tuple[str, str], list[Any]] = {}
        for key, each in open_now.items():
            latest = each.latest
            if (latest.block_height or 0) > window.final_number:
                known.setdefault((latest.tx_hash, latest.block_hash), []).append(key)
        for tx, place in places.items():
            window.seen.update(known.get((tx, place.block_hash), ()))
        return [tx for tx, place in places.items() if (tx, place.block_hash) not in known]

    def _agrees(self, receipt: Any, place: Place, window: Window) -> bool:
        """Says whether receipt and log are of one block: two replicas may differ for a moment.

        Above the final block the next fetch sees it again; at or below there is no next one.
        """
        if receipt and receipt["blockHash"] == place.block_hash:
            return True
        window.count("receipts_disagree")
        if place.number <= window.final_number:
            raise RailUnavailableError(
                f"{self.description}: a log and its receipt disagree about their block: several "
                "nodes answer under this address, or a reorganisation is going on; the next run "
                "tries again"
            )
        return False

    def observe(self, window: Window, receipts: Sequence[Mapping[str, Any]]) -> list[Observation]:
        """Turns receipts into observations of the window, and returns them."""
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
                    "have the block: the node is behind; the next run tries again"
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
                window.count("internal_skipped")  # no money came or went
                continue
            amount = whole_units(moved.units, moved.asset.decimals)
            if not is_representable(amount):
                window.refused.append(_refusal(self._config.network, receipt, moved))
                continue
            yield self._observation(window, receipt, moved, time_s, fee)
            fee *= 0  # a transaction's fee is counted once

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
            settlement_id=identity.base_authorization(
                network, moved.asset.address, moved.sender, moved.nonce
            )
            if moved.nonce
            else identity.base_transfer(network, tx_hash, moved.ordinal),
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


def _refusal(network: str, receipt: Mapping[str, Any], moved: Transfer) -> Refused:
    return Refused(
        source=f"{network}:{receipt['transactionHash']}",
        line_no=moved.ordinal + 1,
        reason="out_of_range:amount",
        raw=json.dumps(receipt["logs"][moved.ordinal], sort_keys=True),
    )
