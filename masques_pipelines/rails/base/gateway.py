"""Follows payments by Circle Gateway from their acceptance to the batch that settles them.

Gateway accepts a signed transfer, and settles many of them later by one transaction that changes
the balances in its wallet contract. No event and no argument of that transaction names a payment.
So a payment is confirmed by three things together:

- Gateway's own list has it under its nonce, with the same parties and amount, in that transaction;
- the transaction is final, succeeded, and called the wallet contract, and where its call can be
  read, our balance gained at least what the payments of the batch are;
- the balance that the contract holds for us is a line of the chain check, which does not agree
  when a payment is confirmed that brought nothing.

A payment that no batch settled until its deadline is unknown, and is asked for a while longer.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.answers import item_or_none
from masques_pipelines.rails.base.gateway_api import GatewayTransfer, TransferApi
from masques_pipelines.rails.base.gateway_contracts import (
    Burn,
    Contracts,
    burn_of,
    burn_search,
    net_of_batch,
)
from masques_pipelines.rails.base.messages import FoundLog, Header, Receipt, Transaction
from masques_pipelines.rails.base.window import NAME, BaseConfig, Window, headers_of
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    BATCH_HASH,
    BATCH_NET,
    CLOSED,
    GATEWAY_STATUS,
    Asset,
    Channels,
    Finding,
    Observation,
    OpenSettlement,
    RailRefusedError,
    RailUnavailableError,
)
from masques_pipelines.rails.settlement_ids import settlement_id

# Payments that one fetch looks at, each by one request to Gateway.
ASKED_MAX: Final = 500
# So long after its deadline a payment without a batch is still asked for.
ASKED_AFTER_S: Final = 30 * 24 * 3600
_SETTLED: Final = ("confirmed", "completed")
_GET_RECEIPT: Final = "eth_getTransactionReceipt"
_GET_TRANSACTION: Final = "eth_getTransactionByHash"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Batch:
    """One transaction that settled payments: final, and of the wallet contract."""

    receipt: Receipt
    time_ns: int
    transaction: Transaction


class GatewayReader:
    """Reads the payments by Circle Gateway of one fetch."""

    def __init__(
        self,
        rpc: JsonRpc,
        api: TransferApi | None,
        config: BaseConfig,
        channels: Channels,
        window: Window,
    ) -> None:
        self._rpc, self._api, self._config = rpc, api, config
        self._channels, self._window = channels, window
        self._contracts = Contracts(config.network)
        self._assets = {asset.address: asset for asset in config.assets}

    def searches(self) -> list[dict[str, object]]:
        """Returns the search for what the operator burned of our balances; none without Gateway."""
        if self._api is None:
            return []
        treasury = sorted(self._config.treasury)
        return [burn_search(self._contracts, sorted(self._assets), treasury)]

    def resolve(self, after: str) -> str:
        """Adds what became of payments to the window; returns the last one that was looked at."""
        final_s = self._window.final.timestamp
        since_s = None if self._api is None else final_s - ASKED_AFTER_S
        due = self._channels.deferred(after=after, limit=ASKED_MAX, closed_since_s=since_s)
        said = self._ask(due)
        hashes = sorted({t.tx_hash for t in said.values() if t.tx_hash and t.status in _SETTLED})
        batches = self._batches(hashes)
        settled = self._settled(due, said, batches)
        for each in due:
            now = settled.get(each.settlement_id) or self._waiting(each, said.get(_key(each)))
            if now is not None:
                self._window.observations.append(now)
        is_more = len(due) == ASKED_MAX
        return str(due[-1].settlement_id) if is_more else ""

    # What Gateway says ------------------------------------------------------------------------

    def _ask(self, due: Sequence[OpenSettlement]) -> dict[str, GatewayTransfer]:
        """Returns what Gateway says of payments, by id; nothing more once it does not answer."""
        said: dict[str, GatewayTransfer] = {}
        if self._api is None:
            return said
        for number, each in enumerate(due):
            try:
                found = self._api.transfer(each.latest)
            except (RailUnavailableError, RailRefusedError) as error:
                logger.warning("%s: payments by Circle Gateway: %s", self._config.name, error)
                self._window.count("gateway_not_asked", len(due) - number)
                break
            if found is None:
                self._window.count("gateway_knows_none")
            elif problem := self._differs(each.latest, found):
                self._window.findings.append(
                    Finding(each.settlement_id, "gateway_disagrees", problem, rail=NAME)
                )
            else:
                said[_key(each)] = found
        return said

    def _differs(self, payment: Observation, found: GatewayTransfer) -> str:
        """Returns how what Gateway says differs from what was signed, '' when it does not."""
        asset = self._assets.get(payment.asset)
        units = payment.amount.scaleb(asset.decimals) if asset else Decimal(-1)
        pairs = (
            ("nonce", payment.payment_ref, found.nonce),
            ("payer", payment.payer, found.from_address),
            ("receiver", payment.to_address, found.to_address),
            ("network", payment.network, found.recipient_network),
            ("amount", f"{int(units)}", f"{int(found.amount)}"),
        )
        return ", ".join(f"{name} {was} and {now}" for name, was, now in pairs if was != now)

    # What the chain has of it -----------------------------------------------------------------

    def _batches(self, hashes: Sequence[str]) -> dict[str, _Batch]:
        """Returns the transactions that are final, succeeded, and called the wallet contract."""
        receipts = [
            item_or_none(Receipt, answer)
            for answer in self._rpc.many([(_GET_RECEIPT, [tx]) for tx in hashes])
        ]
        transactions = [
            item_or_none(Transaction, answer)
            for answer in self._rpc.many([(_GET_TRANSACTION, [tx]) for tx in hashes])
        ]
        headers = headers_of(self._rpc, (each.block_number for each in receipts if each))
        found: dict[str, _Batch] = {}
        for tx, receipt, transaction in zip(hashes, receipts, transactions, strict=True):
            if receipt is None or transaction is None:
                self._window.count("batches_not_found")
                continue
            header = headers[receipt.block_number]
            if self._is_proved(tx, receipt, transaction, header) and header is not None:
                found[tx] = _Batch(receipt, header.timestamp * 10**9, transaction)
        return found

    def _is_proved(
        self, tx: str, receipt: Receipt, transaction: Transaction, header: Header | None
    ) -> bool:
        is_it = receipt.transaction_hash == tx == transaction.hash
        is_there = header is not None and header.hash == receipt.block_hash
        is_final = receipt.block_number <= self._window.final_number
        is_batch = bool(receipt.status) and transaction.to == self._contracts.wallet
        if is_it and is_there and is_final and not is_batch:
            self._window.count("batches_of_another_contract")
        return is_it and is_there and is_final and is_batch

    def _settled(
        self,
        due: Sequence[OpenSettlement],
        said: Mapping[str, GatewayTransfer],
        batches: Mapping[str, _Batch],
    ) -> dict[object, Observation]:
        """Returns the payments that batches settled, where all of a batch fits what it brought."""
        members: dict[tuple[str, str, str], list[Observation]] = {}
        for each in due:
            transfer = said.get(_key(each))
            if transfer is None or transfer.status not in _SETTLED or transfer.tx_hash is None:
                continue
            if transfer.tx_hash in batches and each.latest.to_address in self._config.treasury:
                key = (transfer.tx_hash, each.latest.asset, each.latest.to_address)
                members.setdefault(key, []).append(each.latest)
        found: dict[object, Observation] = {}
        known = self._channels.in_batches(sorted({tx for tx, *_ in members}))
        for (tx, token, address), group in members.items():
            batch, asset = batches[tx], self._assets[token]
            net = net_of_batch(batch.transaction, token, address, self._contracts)
            recorded = [
                each.amount
                for each in known
                if (each.attributes[BATCH_HASH], each.asset, each.to_address)
                == (tx, token, address)
            ]
            total = sum([*recorded, *(each.amount for each in group)], Decimal(0))
            if net is not None and total > whole_units(max(net, 0), asset.decimals):
                self._exceeds(group[0], batch, total, net, asset)
                continue
            for payment in group:
                transfer = said[str(payment.settlement_id)]
                found[payment.settlement_id] = self._confirmed(payment, batch, transfer, net)
        return found

    def _exceeds(
        self, payment: Observation, batch: _Batch, total: Decimal, net: int, asset: Asset
    ) -> None:
        """Notes that a batch brought less than the payments that it is said to settle."""
        brought = whole_units(net, asset.decimals)
        detail = (
            f"batch {batch.receipt.transaction_hash} changed our balance by {brought:f}, and "
            f"payments of {total:f} are said to be in it"
        )
        self._window.findings.append(
            Finding(payment.settlement_id, "batch_disagrees", detail, rail=NAME)
        )

    def _confirmed(
        self, payment: Observation, batch: _Batch, transfer: GatewayTransfer, net: int | None
    ) -> Observation:
        receipt = batch.receipt
        more = {GATEWAY_STATUS: transfer.status, BATCH_HASH: receipt.transaction_hash}
        if net is not None:
            more[BATCH_NET] = f"{whole_units(net, self._assets[payment.asset].decimals):f}"
        return replace(
            payment,
            source="chain",
            status="confirmed",
            failure_reason="",
            tx_hash=receipt.transaction_hash,
            block_height=receipt.block_number,
            block_hash=receipt.block_hash,
            confirmations=max(0, self._window.head - receipt.block_number + 1),
            finality=self._config.finality,
            timestamp_ns=batch.time_ns,
            attributes={**_without(payment, CLOSED), **more},
        )

    # What no batch settled --------------------------------------------------------------------

    def _waiting(self, each: OpenSettlement, said: GatewayTransfer | None) -> Observation | None:
        """Returns a payment that no batch has settled, None when nothing is new."""
        latest = each.latest
        attributes = dict(latest.attributes)
        if said is not None:
            attributes[GATEWAY_STATUS] = said.status
        now = replace(latest, source="chain", attributes=attributes)
        status = attributes.get(GATEWAY_STATUS, "")
        reason = ""
        if status == "failed":
            reason = "gateway_failed"
        elif each.deadline_s is not None and self._window.final.timestamp > each.deadline_s:
            is_said = status in _SETTLED
            reason = "batch_not_proved" if is_said else "not_settled_until_deadline"
        if reason:
            closed = {**attributes, CLOSED: reason}
            now = replace(now, status="unknown", failure_reason=reason, attributes=closed)
        return None if now == replace(latest, source="chain") else now

    # What left our balance --------------------------------------------------------------------

    def burns(self, events: Iterable[FoundLog]) -> None:
        """Adds what final events burned of our balances: withdrawals end, and fees are paid."""
        found = [
            (each, burn)
            for each in events
            if each.block_number <= self._window.final_number
            and (burn := burn_of(each, self._contracts)) is not None
            and burn.depositor in self._config.treasury
            and burn.token in self._assets
        ]
        headers = headers_of(self._rpc, (each.block_number for each, _ in found))
        for log, burn in found:
            header = headers[log.block_number]
            if header is None or header.hash != log.block_hash:
                raise RailUnavailableError(
                    f"{self._rpc.node.description}: it has another block {log.block_number} than "
                    "its events: several nodes answer under this address; the next run tries again"
                )
            self._burn(log, burn, header)

    def _burn(self, log: FoundLog, burn: Burn, header: Header) -> None:
        is_here = burn.domain == self._contracts.domain and burn.recipient == burn.depositor
        if is_here:
            self._window.burned.add(burn.spec)
        asset = self._assets[burn.token]
        parts = [("fee", burn.fee, "")]
        if not is_here:
            parts.append(("value", burn.units, burn.recipient))
        for name, units, receiver in parts:
            if not units:
                continue
            self._window.observations.append(
                Observation(
                    settlement_id=settlement_id("gateway", self._config.network, burn.spec, name),
                    source="chain",
                    rail=NAME,
                    network=self._config.network,
                    direction="out",
                    status="confirmed",
                    amount=whole_units(units, asset.decimals),
                    currency=asset.symbol,
                    timestamp_ns=header.timestamp * 10**9,
                    asset=asset.address,
                    to_address=receiver or self._contracts.wallet,
                    payer=burn.depositor,
                    payment_ref=burn.spec,
                    tx_hash=log.transaction_hash,
                    block_height=log.block_number,
                    block_hash=log.block_hash,
                    confirmations=max(0, self._window.head - log.block_number + 1),
                    finality=self._config.finality,
                    fee_currency=self._config.fee_currency,
                    attributes={"gateway": name, "gateway_domain": str(burn.domain)},
                )
            )


def _key(each: OpenSettlement) -> str:
    return str(each.settlement_id)


def _without(payment: Observation, name: str) -> dict[str, str]:
    return {key: value for key, value in payment.attributes.items() if key != name}
