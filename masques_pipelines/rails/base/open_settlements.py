"""Resolves open Base settlements that the block scan did not observe.

Such a settlement failed, expired, was reorganised out of the chain, or is still pending. The scan
must have read every transfer up to the head before this runs.

A node that lags behind looks like a reorganisation, so nothing is failed before the final block is
past it. authorizationState is true for used and for canceled: it does not prove a payment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.rails.base.transfers import AUTHORIZATION_STATE, address_topic, network_fee
from masques_pipelines.rails.base.window import BaseConfig, Block, Window
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import Observation, OpenSettlement

# Resolved in one fetch, the oldest first; the rest waits for the next fetch.
OPEN_MAX: Final = 1_000
# Attribute: the block that a payment was in before a reorganisation removed it.
REORGED_FROM: Final = "reorged_from"
_NONCE_HEX_LENGTH: Final = 66


class OpenSettlementResolver:
    """Resolves open settlements against one window."""

    def __init__(  # noqa: PLR0913 - the state of one fetch, and two calls of the rail, by name
        self,
        rpc: JsonRpc,
        config: BaseConfig,
        window: Window,
        start: Mapping[str, Any],
        *,
        observe: Callable[[Window, Sequence[Mapping[str, Any]]], Sequence[Observation]],
        header: Callable[[int | str], Block],
    ) -> None:
        self._rpc = rpc
        self._config = config
        self._window = window
        self._since_s = int(start["since"]["time_s"])
        self._observe = observe
        self._header = header
        self._final_s = int(window.final["timestamp"], 16)

    def resolve(self, unseen: Sequence[OpenSettlement]) -> None:
        """Adds to the window an observation of each settlement that can be resolved now."""
        chosen = sorted(unseen, key=lambda each: each.latest.timestamp_ns)[:OPEN_MAX]
        chosen = [each for each in chosen if each.latest.network == self._config.network]
        hashes = sorted({each.latest.tx_hash for each in chosen if each.latest.tx_hash})
        answers = self._rpc.batch("eth_getTransactionReceipt", [[tx] for tx in hashes])
        receipts = {tx: found for tx, found in zip(hashes, answers, strict=True) if found}
        for each in chosen:
            if each.settlement_id in self._window.seen:
                continue
            resolved = self._by_receipt(each, receipts.get(each.latest.tx_hash))
            if each.settlement_id in self._window.seen:
                continue  # its transaction was read just now
            resolved = resolved or self._by_reorg(each, receipts) or self._by_deadline(each)
            if resolved is not None:
                self._window.observations.append(resolved)

    def _by_receipt(
        self, each: OpenSettlement, receipt: Mapping[str, Any] | None
    ) -> Observation | None:
        """Resolves by the receipt of the transaction that the journal or the chain named."""
        if receipt is None or int(receipt["blockNumber"], 16) > self._window.final_number:
            return None
        if receipt["status"] == "0x0":
            return self._failed(
                each,
                "transaction_reverted",
                timestamp_ns=each.latest.timestamp_ns,
                block_height=int(receipt["blockNumber"], 16),
                block_hash=receipt["blockHash"],
                network_fee=network_fee(receipt),
                fee_currency="ETH",
            )
        # Mined before the start of the scan, or an attempt without an authorization to match it by.
        made = self._observe(self._window, [receipt])
        if any(found.settlement_id == each.settlement_id for found in made):
            return None
        if any(
            (found.asset, found.to_address) == (each.latest.asset, each.latest.to_address)
            for found in made
        ) and not _has_nonce(each.latest):
            return self._failed(
                each, "recorded_under_transaction", timestamp_ns=each.latest.timestamp_ns
            )
        return None

    def _by_reorg(self, each: OpenSettlement, receipts: Mapping[str, Any]) -> Observation | None:
        """Resolves a payment that was in a block which is not part of the final chain."""
        latest = each.latest
        if latest.tx_hash in receipts or not self._left_its_block(latest):
            return None
        gone = replace(
            latest,
            source="chain",
            block_height=None,
            block_hash="",
            confirmations=0,
            finality="",
            attributes={REORGED_FROM: latest.block_hash, **latest.attributes},
        )
        if each.deadline_s is not None and self._final_s <= each.deadline_s:
            return gone  # it may be sent again until its deadline
        if self._rpc.call("eth_getTransactionByHash", latest.tx_hash):
            return gone  # it is waiting to be mined again
        return self._failed(
            replace(each, latest=gone), "reorged_out", timestamp_ns=latest.timestamp_ns
        )

    def _left_its_block(self, latest: Observation) -> bool:
        """Returns whether the final chain has another block at the payment's height."""
        height = latest.block_height
        if not latest.block_hash or height is None:
            return REORGED_FROM in latest.attributes
        if height > self._window.final_number:
            return False
        # The same block: the answer came from a replica without its logs, and the payment is there.
        return bool(self._header(height)["hash"] != latest.block_hash)

    def _by_deadline(self, each: OpenSettlement) -> Observation | None:
        """Resolves a payment that was not made before its deadline."""
        latest, deadline_s = each.latest, each.deadline_s
        if deadline_s is None or self._final_s <= deadline_s or latest.block_hash:
            return None
        is_used = _has_nonce(latest) and self._is_used(latest)
        was_read = latest.timestamp_ns >= self._since_s * 10**9
        # An authorization that is unused after its deadline was never paid, whether read or not.
        if not was_read and (is_used or not _has_nonce(latest)):
            if latest.failure_reason == "before_scan_start":
                return None
            return replace(
                latest, source="chain", status="unknown", failure_reason="before_scan_start"
            )
        reason = "transaction_not_found"
        if _has_nonce(latest):
            reason = "authorization_canceled" if is_used else "authorization_expired"
        return self._failed(each, reason, timestamp_ns=deadline_s * 10**9)

    def _is_used(self, latest: Observation) -> bool:
        """Returns whether the authorization was used or canceled; both end it."""
        data = AUTHORIZATION_STATE + address_topic(latest.payer)[2:] + latest.payment_ref[2:]
        answer = self._rpc.call("eth_call", {"to": latest.asset, "data": data}, "latest")
        return int(answer, 16) == 1

    def _failed(  # noqa: PLR0913 - the fields of one record, by name
        self,
        each: OpenSettlement,
        reason: str,
        *,
        timestamp_ns: int,
        network_fee: Decimal = Decimal(0),
        fee_currency: str = "",
        block_height: int | None = None,
        block_hash: str = "",
    ) -> Observation:
        return replace(
            each.latest,
            source="chain",
            status="failed",
            failure_reason=reason,
            finality=self._config.finality,
            timestamp_ns=timestamp_ns,
            block_height=block_height,
            block_hash=block_hash,
            confirmations=0,
            network_fee=network_fee,
            fee_currency=fee_currency or each.latest.fee_currency,
        )


def _has_nonce(latest: Observation) -> bool:
    """Returns whether the payment is identified by an EIP-3009 authorization."""
    return len(latest.payment_ref) == _NONCE_HEX_LENGTH and latest.payment_ref != latest.tx_hash
