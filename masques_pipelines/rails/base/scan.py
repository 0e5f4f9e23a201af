"""Finds the token transfers to and from the treasury in blocks, by logs and then by receipts.

Logs only lead to transactions: everything else is read from receipts, in blocks that the node has
under the same hash. What cannot be read waits, or goes to quarantine; it stops nothing else.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.answers import ShapeError, item_of, item_or_none
from masques_pipelines.rails.base.escrow import ESCROW, is_sweep
from masques_pipelines.rails.base.gateway_contracts import Contracts, mint_of, own_move
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.messages import (
    FoundLog,
    Header,
    Log,
    Receipt,
    is_hash,
)
from masques_pipelines.rails.base.transfers import (
    TRANSFER,
    Transfer,
    address_topic,
    is_transfer,
    network_fee,
    transfers,
)
from masques_pipelines.rails.base.window import NAME, BaseConfig, Wanted, Window
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import Observation, OpenSettlement, Rejected
from masques_pipelines.rails.settlement_ids import base_authorization, base_transfer

# Fetches that want a receipt before its transaction goes to quarantine, and how many may wait.
TRIES_MAX: Final = 5
WAITING_MAX: Final = 1_000
# Values in one list of a search; providers limit it, and treasuries have a few addresses.
TOPICS_MAX: Final = 100
# The last argument of eth_getBlockByNumber: without the transactions.
HEADER_ONLY: Final = False
_GET_LOGS: Final = "eth_getLogs"
_GET_BLOCK: Final = "eth_getBlockByNumber"
_GET_RECEIPT: Final = "eth_getTransactionReceipt"
_GET_RECEIPTS: Final = "eth_getBlockReceipts"


class Scanner:
    """Observes the transfers of allowed tokens in blocks and receipts."""

    def __init__(self, rpc: JsonRpc, config: BaseConfig, logs: LogReader) -> None:
        self._rpc = rpc
        self._config = config
        self._assets = {asset.address: asset for asset in config.assets}
        self._logs = logs
        self._gateway = Contracts(config.network) if config.reads_gateway else None
        self._of_contracts = {ESCROW, *([self._gateway.wallet] if self._gateway else [])}

    def scan(  # noqa: PLR0913, PLR0917 - what one fetch has read before
        self,
        window: Window,
        first: int,
        last: int,
        open_now: Sequence[OpenSettlement],
        waiting: Mapping[str, Wanted],
        more: Sequence[Mapping[str, Any]] = (),
    ) -> list[FoundLog]:
        """Observes the transfers of blocks first…last, and what earlier fetches wait for.

        Args:
            window: The blocks of this fetch.
            first: First block.
            last: Last block.
            open_now: Open settlements: what is recorded in the same block is not read again.
            waiting: Transactions that earlier fetches wait for.
            more: Further searches in the same blocks, for events of other contracts.

        Returns:
            The events that the further searches found.
        """
        wanted, found = dict(waiting), []
        for range_first, upto, logs in self._logs.read([*self._queries(), *more], first, last):
            for log in logs:
                event = item_or_none(FoundLog, log) if more else None
                if event is not None and event.address in self._of_contracts:
                    found += [event] if not event.removed else []
                    continue
                self._want(window, log, (range_first, upto), wanted)
        fresh = self._unrecorded(wanted, window, open_now)
        self._postpone(window, self.read(window, fresh))
        return found

    def _queries(self) -> list[dict[str, Any]]:
        """Returns the searches for transfers to and from the treasury, bounded lists each."""
        ours = [address_topic(address) for address in sorted(self._config.treasury)]
        tokens = sorted(self._assets)
        queries: list[dict[str, Any]] = []
        for topics in _chunks(ours):
            for addresses in _chunks(tokens):
                places = ([TRANSFER, None, topics], [TRANSFER, topics])
                queries += [{"address": addresses, "topics": each} for each in places]
        return queries

    def _want(
        self, window: Window, answer: Any, span: tuple[int, int], wanted: dict[str, Wanted]
    ) -> None:
        """Notes the transaction of a log; a log that cannot be read goes to quarantine."""
        log = item_or_none(FoundLog, answer)
        if log is None or (not log.removed and not span[0] <= log.block_number <= span[1]):
            self._unreadable_log(window, answer, wanted)
        elif log.removed:
            window.count("removed_skipped")
        elif log.data != "0x" and int(log.data, 16) == 0:
            window.count("zero_value_skipped")
        else:
            events = wanted.get(log.transaction_hash, Wanted(None)).events
            if is_transfer(log) and is_hash(log.data):  # otherwise the receipt knows better
                said = {name: getattr(log, name) for name in Log.model_fields}
                events |= {Log.model_construct(**said)}
            wanted[log.transaction_hash] = Wanted(log.block_number, log.block_hash, events=events)

    def _unreadable_log(self, window: Window, answer: Any, wanted: dict[str, Wanted]) -> None:
        """The receipt of its transaction may say what a log does not."""
        tx = answer.get("transactionHash") if isinstance(answer, dict) else None
        if isinstance(tx, str) and is_hash(tx):
            wanted.setdefault(tx.lower(), Wanted(None))
            return
        problem = item_of(FoundLog, answer)
        is_shape = isinstance(problem, ShapeError)
        why = str(problem) if is_shape else "of a block that was not asked for"
        where = f"{self._config.network}:{_GET_LOGS}"
        raw = json.dumps({"why": why})
        window.rejected.append(Rejected(where, 1, "unreadable:log", raw))

    def _unrecorded(
        self, wanted: Mapping[str, Wanted], window: Window, open_now: Sequence[OpenSettlement]
    ) -> dict[str, Wanted]:
        """Returns the transactions that are not recorded in the same, not yet final block."""
        recorded: dict[tuple[str, str], list[Any]] = {}
        for each in open_now:
            latest = each.latest
            if (latest.block_height or 0) > window.final_number:
                key = (latest.tx_hash, latest.block_hash)
                recorded.setdefault(key, []).append(each.settlement_id)
        for tx, each_wanted in wanted.items():
            window.seen.update(recorded.get((tx, each_wanted.block_hash), ()))
        return {tx: w for tx, w in wanted.items() if (tx, w.block_hash) not in recorded}

    def read(self, window: Window, wanted: Mapping[str, Wanted]) -> dict[str, Wanted]:
        """Observes the payments of transactions; returns those that cannot be read now."""
        answers = self._rpc.many([(_GET_RECEIPT, [tx]) for tx in wanted])
        receipts = {
            tx: receipt
            for tx, answer in zip(wanted, answers, strict=True)
            if (receipt := _receipt(answer, tx)) and self._holds(receipt, wanted[tx])
        }
        accepted = self.observe(window, list(receipts.values()))
        return self._by_block(window, {tx: w for tx, w in wanted.items() if tx not in accepted})

    def _postpone(self, window: Window, missing: Mapping[str, Wanted]) -> None:
        """Lets transactions that cannot be read wait; after some fetches they are rejected."""
        for tx, each in missing.items():
            window.count("receipts_disagree")
            if each.number is not None and each.number > window.final_number:
                continue  # the next fetch reads this block again
            if each.tries + 1 < TRIES_MAX and len(window.waiting) < WAITING_MAX:
                window.waiting[tx] = Wanted(each.number, tries=each.tries + 1)
                continue
            raw = json.dumps({"transactionHash": tx, "blockNumber": each.number})
            source = f"{self._config.network}:{tx}"
            window.rejected.append(Rejected(source, 1, "unreadable:receipt", raw))

    def _holds(self, receipt: Receipt, wanted: Wanted) -> bool:
        """Returns whether a receipt has what the search found: otherwise one of them is wrong."""
        is_ours = any(transfers(receipt, self._assets, self._config.treasury))
        return is_ours and wanted.events <= set(receipt.logs)

    def _by_block(self, window: Window, missing: Mapping[str, Wanted]) -> dict[str, Wanted]:
        """Reads receipts with their block: nodes forget the place of old transactions first."""
        blocks = sorted({w.number for w in missing.values() if w.number is not None})
        blocks = [each for each in blocks if each <= window.final_number]
        found: dict[str, Receipt] = {}
        # One block in a request: its receipts are about a megabyte.
        for block in blocks:
            (answer,) = self._rpc.many([(_GET_RECEIPTS, [hex(block)])])
            for each in answer if isinstance(answer, list) else ():
                tx = each.get("transactionHash") if isinstance(each, dict) else None
                if not isinstance(tx, str) or tx not in missing:
                    continue
                receipt = _receipt(each, tx)
                if receipt is not None and self._holds(receipt, missing[tx]):
                    found[tx] = receipt
        accepted = self.observe(window, list(found.values()))
        window.count("receipts_by_block", len(accepted))
        return {tx: w for tx, w in missing.items() if tx not in accepted}

    def observe(self, window: Window, receipts: Sequence[Receipt]) -> dict[str, list[Observation]]:
        """Adds the payments of receipts to the window.

        Returns:
            The payments by transaction, of those receipts whose block the node has under the same
            hash: two replicas may differ for a moment.
        """
        numbers = sorted({receipt.block_number for receipt in receipts})
        answers = self._rpc.many([(_GET_BLOCK, [hex(n), HEADER_ONLY]) for n in numbers])
        headers = {
            number: item_or_none(Header, answer)
            for number, answer in zip(numbers, answers, strict=True)
        }
        accepted: dict[str, list[Observation]] = {}
        for receipt in receipts:
            header = headers[receipt.block_number]
            if header is None or header.hash != receipt.block_hash:
                continue
            if header.number <= window.final_number and header.timestamp > window.final.timestamp:
                continue  # later than the final block
            made = list(self._payments(window, receipt, header.timestamp))
            window.observations.extend(made)
            window.seen.update(each.settlement_id for each in made)
            accepted[receipt.transaction_hash] = made
        return accepted

    def _payments(self, window: Window, receipt: Receipt, time_s: int) -> Iterable[Observation]:
        fee = network_fee(receipt, time_s)
        if not is_representable(fee):
            window.count("fees_out_of_range")
            fee = Decimal(0)
        for moved in transfers(receipt, self._assets, self._config.treasury):
            try:
                units = moved.units
            except ShapeError:
                window.rejected.append(
                    _rejected(self._config.network, receipt, moved, "unreadable:log")
                )
                continue
            if units == 0:
                continue
            if is_sweep(receipt, moved):
                window.count("sweeps_skipped")  # its claims are the payments: vouchers.py
                continue
            if self._is_internal(window, receipt, moved) or self._is_own(window, receipt, moved):
                window.count("internal_skipped")  # no money came in or went out
                continue
            amount = whole_units(units, moved.asset.decimals)
            if not is_representable(amount):
                window.rejected.append(
                    _rejected(self._config.network, receipt, moved, "out_of_range:amount")
                )
                continue
            seen = self._observation(window, receipt, moved, amount)
            yield replace(seen, timestamp_ns=time_s * 10**9, network_fee=fee)
            fee *= 0  # a transaction's fee is recorded once

    def _is_internal(self, window: Window, receipt: Receipt, moved: Transfer) -> bool:
        """Returns whether money moved between our addresses, of which none is ours later only."""
        sides = {moved.sender, moved.receiver}
        if not sides <= self._config.treasury:
            return False
        return len({window.is_ours(each, receipt.block_number) for each in sides}) == 1

    def _is_own(self, window: Window, receipt: Receipt, moved: Transfer) -> bool:
        """Returns whether our own money went to Circle Gateway or came back from there."""
        if self._gateway is None or not own_move(receipt, moved, self._gateway):
            return False
        mint = mint_of(receipt, moved, self._gateway)
        if mint is not None and receipt.block_number <= window.final_number:
            window.minted.append(mint)
        return True

    def _is_in(self, window: Window, receipt: Receipt, moved: Transfer) -> bool:
        treasury = self._config.treasury
        if moved.receiver in treasury and moved.sender in treasury:
            return window.is_ours(moved.receiver, receipt.block_number)
        return moved.receiver in treasury

    def _observation(
        self, window: Window, receipt: Receipt, moved: Transfer, amount: Decimal
    ) -> Observation:
        number, tx_hash = receipt.block_number, receipt.transaction_hash
        is_final = number <= window.final_number
        network = self._config.network
        return Observation(
            settlement_id=_id_of(network, tx_hash, moved),
            source="chain",
            rail=NAME,
            network=network,
            direction="in" if self._is_in(window, receipt, moved) else "out",
            status="confirmed" if is_final else "pending",
            amount=amount,
            currency=moved.asset.symbol,
            timestamp_ns=0,
            asset=moved.asset.address,
            to_address=moved.receiver,
            payer=moved.sender,
            payment_ref=moved.nonce or tx_hash,
            protocol="x402" if moved.nonce else "",
            tx_hash=tx_hash,
            block_height=number,
            block_hash=receipt.block_hash,
            confirmations=max(0, window.head - number + 1),
            finality=self._config.finality if is_final else "latest",
            fee_currency=self._config.fee_currency,
            attributes={"submitted_by": receipt.sender},
        )


def _id_of(network: str, tx_hash: str, moved: Transfer) -> uuid.UUID:
    if moved.nonce:
        return base_authorization(network, moved.asset.address, moved.sender, moved.nonce)
    return base_transfer(network, tx_hash, moved.ordinal)


def _rejected(network: str, receipt: Receipt, moved: Transfer, reason: str) -> Rejected:
    return Rejected(
        source=f"{network}:{receipt.transaction_hash}",
        line_no=moved.ordinal + 1,
        reason=reason,
        raw=json.dumps(receipt.logs[moved.ordinal].model_dump(mode="json"), sort_keys=True),
    )


def _receipt(answer: Any, tx: str) -> Receipt | None:
    """Returns an answer as the receipt of a transaction, None when it is anything else."""
    receipt = None if answer is None else item_or_none(Receipt, answer)
    return receipt if receipt is not None and receipt.transaction_hash == tx else None


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), TOPICS_MAX):
        yield items[start : start + TOPICS_MAX]
