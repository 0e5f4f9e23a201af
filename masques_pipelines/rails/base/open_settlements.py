"""Resolves open Base settlements that the block scan did not observe.

Such a settlement failed, expired, was reorganised out of the chain, or is still pending. The scan
must have read every transfer up to the head before this runs.

`failed` needs a proof that the chain gives: the authorization was cancelled, it paid somebody else,
or the contract says at the final block, after the deadline, that it was never used; a payment that
was in a block is gone when the final chain has another block there. What was merely not seen is
unknown, with a reason. An announcement that nobody can decide any more is closed: nobody looks at
it again, and the scan opens it when its payment comes all the same.

A node that lags behind looks like a reorganisation, so nothing is failed before the final block is
past it. authorizationState is true for used and for canceled: the events tell them apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.rails.answers import ShapeError, item_or_none
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.messages import (
    FoundLog,
    Header,
    Receipt,
    Transaction,
    is_address,
    is_hash,
    word,
)
from masques_pipelines.rails.base.transfers import (
    AUTHORIZATION_CANCELED,
    AUTHORIZATION_STATE,
    AUTHORIZATION_USED,
    address_topic,
    ended,
    network_fee,
)
from masques_pipelines.rails.base.window import BaseConfig, Window, block_before, headers_of
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    ANSWER,
    BATCH_HASH,
    BATCH_NET,
    Finding,
    Observation,
    OpenSettlement,
    RailUnavailableError,
)

# Payments that one fetch asks the node about; the next fetch continues behind the last of them.
DECISIONS_MAX: Final = 500
# Open settlements that one fetch looks through without asking anybody.
LOOKED_MAX: Final = 10_000
# Another fetch follows at once when so many of them were closed.
CLOSED_MIN: Final = 1_000
# A payer may sign any deadline: after this time nobody waits for it any more.
UNDECIDED_S: Final = 7 * 24 * 3600
# Authorizations in one search for their events, and ranges of blocks that it may take.
EVENTS_PER_QUERY: Final = 50
EVENT_RANGES_MAX: Final = 50
# Payments of before these ranges that one fetch searches for, in the blocks of their time.
EARLIER_MAX: Final = 50
_PLACING_STEPS: Final = 8
# So many ranges prove that an authorization was not used, beside what the contract says.
UNUSED_RANGES_MAX: Final = 5
# After its deadline an authorization is looked at so long before it is closed as used by nobody
# knows what: the answer of one run may have been wrong.
UNSEEN_S: Final = 3600
# The block of an announcement is estimated; its line may be late, and its clock wrong.
EVENT_MARGIN_S: Final = 3600
# Attribute: the block that a payment was in before a reorganisation removed it.
REORGED_FROM: Final = "reorged_from"
_ABANDONED: Final = ("refused", "verified")
_GET_RECEIPT: Final = "eth_getTransactionReceipt"
_GET_TRANSACTION: Final = "eth_getTransactionByHash"

Observe = Callable[[Window, Sequence[Receipt]], Mapping[str, Sequence[Observation]]]


@dataclass
class _Ended:
    """An open settlement after its deadline.

    Attributes:
        each: The settlement.
        is_spent: Whether the contract says that its authorization is used or cancelled.
        is_searched: Whether the search for the event answered.
        log: The event that used or cancelled it.
    """

    each: OpenSettlement
    is_spent: bool
    is_searched: bool = False
    log: FoundLog | None = None

    @property
    def announced_s(self) -> int:
        """When the payment was announced."""
        return self.each.latest.timestamp_ns // 10**9


class OpenSettlementResolver:
    """Resolves open settlements against one window."""

    def __init__(
        self,
        rpc: JsonRpc,
        config: BaseConfig,
        window: Window,
        *,
        observe: Observe,
    ) -> None:
        self._rpc = rpc
        self._config = config
        self._window = window
        self._observe = observe
        self._final_s = window.final.timestamp
        self._headers: dict[int, Header | None] = {}
        self._closed = 0

    def resolve(
        self, pages: Iterable[Sequence[OpenSettlement]], logs: LogReader, *, since_s: int
    ) -> tuple[str, bool]:
        """Adds to the window an observation of each settlement that can be resolved now.

        Args:
            pages: All open settlements, once, around the circle from the last one looked at.
            logs: Searches for events.
            since_s: Time of the first block that was read.

        Returns:
            The last one looked at, '' when all were; and whether this fetch may be the last: not
            while abandoned announcements are closed in bulk.
        """
        due: list[OpenSettlement] = []
        looked, number = "", 0
        for page in pages:
            for each in page:
                number += 1
                if not self._close(each) and self._is_due(each, since_s):
                    due.append(each)
                looked = str(each.settlement_id)
                if len(due) >= DECISIONS_MAX:
                    self._decide(due, logs)
                    return looked, True
            if number >= LOOKED_MAX:
                self._decide(due, logs)
                return looked, self._closed < CLOSED_MIN
        self._decide(due, logs)
        return "", True

    def recheck(self, recorded: Sequence[OpenSettlement]) -> list[OpenSettlement]:
        """Looks at payments that are recorded as confirmed in blocks that were just read again.

        One that the scan did not see is gone when the final chain has another block there;
        otherwise the search for logs was incomplete, and its receipt is read.

        Returns:
            Those that are gone: they are open again.
        """
        unseen = [
            each
            for each in recorded
            if self._is_ours(each) and each.settlement_id not in self._window.seen
        ]
        opened: list[OpenSettlement] = []
        for start in range(0, len(unseen), DECISIONS_MAX):
            chunk = unseen[start : start + DECISIONS_MAX]
            receipts = self._receipts(chunk)
            self._window.count("recorded_not_seen", len(chunk))
            for each in chunk:
                if each.settlement_id in self._window.seen or each.latest.tx_hash in receipts:
                    continue
                if self._left_its_block(each.latest):
                    if BATCH_HASH in each.latest.attributes:
                        self._window.observations.append(_accepted_again(each.latest))
                        continue
                    gone = _gone(each.latest)
                    self._window.observations.append(gone)
                    opened.append(replace(each, latest=gone))
        return opened

    def _is_ours(self, each: OpenSettlement) -> bool:
        return each.latest.network == self._config.network

    def _close(self, each: OpenSettlement) -> bool:
        """Closes what nobody will decide any more, without asking the node."""
        latest = each.latest
        if not self._is_ours(each) or each.settlement_id in self._window.seen:
            return True
        if latest.block_hash or REORGED_FROM in latest.attributes:
            return False
        is_past = each.deadline_s is not None and self._final_s > each.deadline_s
        # Verified or refused, and never sent: an authorization that is not used has no trace.
        if is_past and not latest.tx_hash and latest.attributes.get(ANSWER) in _ABANDONED:
            self._unknown(each, "not_seen_until_deadline")
            return True
        is_old = self._final_s > latest.timestamp_ns // 10**9 + UNDECIDED_S
        if is_old and not (is_past and _has_authorization(latest)):
            self._unknown(each, "undecided")
            return True
        return False

    def _is_due(self, each: OpenSettlement, since_s: int) -> bool:
        """Returns whether the node may know how a payment ended.

        Before its deadline a payment to us is found by the scan, and nothing else ends it.
        """
        latest = each.latest
        if latest.block_hash:
            return latest.block_height is None or latest.block_height <= self._window.final_number
        if each.deadline_s is None:
            return is_hash(latest.tx_hash) or REORGED_FROM in latest.attributes
        was_read = latest.timestamp_ns >= since_s * 10**9
        return self._final_s > each.deadline_s or (not was_read and is_hash(latest.tx_hash))

    def _decide(self, due: Sequence[OpenSettlement], logs: LogReader) -> None:
        receipts = self._receipts(due)
        unseen = [each for each in due if each.settlement_id not in self._window.seen]
        ended_ones = []
        for each in unseen:
            is_past = each.deadline_s is not None and self._final_s > each.deadline_s
            if is_past and _has_authorization(each.latest):
                if not self._is_in_final_block(each.latest):
                    ended_ones.append(each)
            elif not self._reorg(each, receipts) and is_past:
                self._end_without_authorization(each, receipts)
        self._decide_authorizations(ended_ones, receipts, logs)

    def _receipts(self, due: Sequence[OpenSettlement]) -> dict[str, Receipt]:
        """Reads the receipts of transactions that were named, and observes their payments."""
        hashes = sorted({each.latest.tx_hash for each in due if is_hash(each.latest.tx_hash)})
        answers = self._rpc.many([(_GET_RECEIPT, [tx]) for tx in hashes])
        found: dict[str, Receipt] = {}
        for tx, answer in zip(hashes, answers, strict=True):
            receipt = None if answer is None else item_or_none(Receipt, answer)
            if receipt is not None and receipt.transaction_hash == tx:
                found[tx] = receipt
            elif answer is not None:
                self._window.count("receipts_unreadable")
        final = [r for r in found.values() if r.block_number <= self._window.final_number]
        accepted = self._observe(self._window, [r for r in final if r.status])
        return {
            tx: receipt
            for tx, receipt in found.items()
            if tx in accepted or not receipt.status or receipt not in final
        }

    # Payments that were in a block ------------------------------------------------------------

    def _reorg(self, each: OpenSettlement, receipts: Mapping[str, Receipt]) -> bool:
        """Resolves a payment that was in a block which is not part of the final chain."""
        latest = each.latest
        if latest.tx_hash in receipts or not self._left_its_block(latest):
            return False
        gone = _gone(latest)
        is_past = each.deadline_s is None or self._final_s > each.deadline_s
        if not is_past or self._is_waiting_to_be_mined(latest):
            self._window.observations.append(gone)  # it may come back
        else:
            self._failed(
                replace(each, latest=gone), "reorged_out", timestamp_ns=latest.timestamp_ns
            )
        return True

    def _is_waiting_to_be_mined(self, latest: Observation) -> bool:
        (answer,) = self._rpc.many([(_GET_TRANSACTION, [latest.tx_hash])])
        return answer is not None  # an error proves nothing

    def _left_its_block(self, latest: Observation) -> bool:
        """Returns whether the final chain has another block at the payment's height."""
        if not latest.block_hash or latest.block_height is None:
            return REORGED_FROM in latest.attributes
        if latest.block_height > self._window.final_number:
            return False
        # The same block: the answer came from a replica without its logs, and the payment is there.
        header = self._header(latest.block_height)
        return header is not None and header.hash != latest.block_hash

    def _is_in_final_block(self, latest: Observation) -> bool:
        return bool(latest.block_hash) and not self._left_its_block(latest)

    def _header(self, number: int) -> Header | None:
        """Returns a block's header, None when the node does not answer one now."""
        if number not in self._headers:
            self._headers |= headers_of(self._rpc, [number])
        return self._headers[number]

    # Announcements after their deadline -------------------------------------------------------

    def _end_without_authorization(
        self, each: OpenSettlement, receipts: Mapping[str, Receipt]
    ) -> None:
        """Closes an announcement that nothing on the chain can be matched with."""
        receipt = receipts.get(each.latest.tx_hash)
        if receipt is None:
            self._unknown(each, "transaction_not_found")
        elif not receipt.status:
            self._unknown(each, "transaction_reverted")
        elif receipt.block_number <= self._window.final_number and not self._is_recorded(
            each, receipt
        ):
            is_ours = each.latest.direction == "out"
            self._unknown(each, "paid_otherwise" if is_ours else "paid_nothing_to_us")

    def _is_recorded(self, each: OpenSettlement, receipt: Receipt) -> bool:
        """Returns whether the same money is recorded by its transaction: the link is folded."""
        return any(
            made.tx_hash == receipt.transaction_hash
            and (made.asset, made.to_address) == (each.latest.asset, each.latest.to_address)
            for made in self._window.observations
        )

    def _decide_authorizations(
        self, due: Sequence[OpenSettlement], receipts: Mapping[str, Receipt], logs: LogReader
    ) -> None:
        """Decides by the contract and by its events: unused, used or cancelled.

        That it is unused both have to say; an event without a state is looked at like any other.
        """
        block = hex(self._window.final_number)
        answers = self._rpc.many([("eth_call", [_state_of(each.latest), block]) for each in due])
        ended_ones: list[_Ended] = []
        for each, answer in zip(due, answers, strict=True):
            try:
                state = word(answer, "authorizationState")
            except ShapeError:
                self._window.count("states_unreadable")
                self._without_state(each)
                continue
            ended_ones.append(_Ended(each, bool(state)))
        spent = [one for one in ended_ones if one.is_spent]
        unused = [one for one in ended_ones if not one.is_spent]
        self._find_earlier(spent, logs, self._find_events(spent, logs, EVENT_RANGES_MAX))
        self._find_events(unused, logs, UNUSED_RANGES_MAX)
        self._expire([o.each for o in unused if o.is_searched and o.log is None], receipts)
        self._end_spent([*spent, *(one for one in unused if one.log)])

    def _without_state(self, each: OpenSettlement) -> None:
        """Waits a while: the contract has no authorizations, or the node no state."""
        if self._final_s > (each.deadline_s or 0) + UNDECIDED_S:
            self._unknown(each, "undecided")

    def _expire(self, unused: Sequence[OpenSettlement], receipts: Mapping[str, Receipt]) -> None:
        reverted = {
            each.settlement_id: receipt
            for each in unused
            if (receipt := receipts.get(each.latest.tx_hash))
            and not receipt.status
            and receipt.block_number <= self._window.final_number
        }
        carriers = self._carriers([each for each in unused if each.settlement_id in reverted])
        for each in unused:
            receipt = reverted.get(each.settlement_id)
            if receipt is not None and each.settlement_id in carriers:
                self._reverted(each, receipt)
            elif REORGED_FROM in each.latest.attributes or each.latest.block_hash:
                self._failed(
                    replace(each, latest=_without_block(each.latest)),
                    "reorged_out",
                    timestamp_ns=each.latest.timestamp_ns,
                )
            else:
                self._failed(
                    each, "authorization_expired", timestamp_ns=(each.deadline_s or 0) * 10**9
                )

    def _carriers(self, named: Sequence[OpenSettlement]) -> set[Any]:
        """Returns which of the payments are in the call of the transaction that was named."""
        answers = self._rpc.many([(_GET_TRANSACTION, [each.latest.tx_hash]) for each in named])
        found = set()
        for each, answer in zip(named, answers, strict=True):
            transaction = item_or_none(Transaction, answer)
            if transaction is not None and transaction.hash == each.latest.tx_hash:
                is_in = (each.latest.payment_ref[2:].lower(), each.latest.payer[2:].lower())
                if all(part in transaction.input for part in is_in):
                    found.add(each.settlement_id)
        return found

    def _reverted(self, each: OpenSettlement, receipt: Receipt) -> None:
        header = self._header(receipt.block_number)
        if header is None or header.hash != receipt.block_hash:
            return  # not the chain's own: looked at again
        time_s = header.timestamp
        self._failed(
            each,
            "transaction_reverted",
            timestamp_ns=time_s * 10**9,
            block_height=receipt.block_number,
            block_hash=receipt.block_hash,
            network_fee=network_fee(receipt, time_s),
            fee_currency=self._config.fee_currency,
        )

    def _end_spent(self, spent: Sequence[_Ended]) -> None:
        """Reads what the transactions paid that used or cancelled authorizations."""
        hashes = sorted({one.log.transaction_hash for one in spent if one.log})
        answers = self._rpc.many([(_GET_RECEIPT, [tx]) for tx in hashes])
        receipts = {
            tx: receipt
            for tx, answer in zip(hashes, answers, strict=True)
            if answer is not None
            and (receipt := item_or_none(Receipt, answer))
            and receipt.transaction_hash == tx
        }
        accepted = self._observe(self._window, list(receipts.values()))
        for one in spent:
            if one.each.settlement_id in self._window.seen:
                self._window.count("found_by_event")  # the scan's search for logs was incomplete
            elif one.log is None and not one.is_searched:
                continue  # nothing is known of it: the next runs search again
            elif one.log is None or one.log.transaction_hash not in accepted:
                self._unseen(one.each)
            else:
                self._by_event(one.each, receipts[one.log.transaction_hash])

    def _by_event(self, each: OpenSettlement, receipt: Receipt) -> None:
        latest = each.latest
        how = ended(receipt, latest.asset, latest.payer, latest.payment_ref)
        header = self._header(receipt.block_number)
        if how is None or header is None or (how.is_used and how.receiver is None):
            self._unseen(each)
            return
        if how.is_used and how.receiver == latest.to_address:
            # Paid as the gate asked, and not to an address of the settings.
            self._unknown(each, "paid_outside_treasury", tx_hash=receipt.transaction_hash)
            self._window.findings.append(
                Finding(
                    settlement_id=latest.settlement_id,
                    kind="paid_outside_treasury",
                    detail=f"{receipt.transaction_hash} paid {latest.to_address}, which is not in "
                    f"{self._config.setting('treasury')}: add it and rewind, or correct the gate's "
                    "payTo",
                    rail=latest.rail,
                )
            )
            return
        self._failed(
            replace(each, latest=replace(latest, tx_hash=receipt.transaction_hash)),
            "paid_elsewhere" if how.is_used else "authorization_canceled",
            timestamp_ns=header.timestamp * 10**9,
            block_height=receipt.block_number,
            block_hash=receipt.block_hash,
        )

    def _unseen(self, each: OpenSettlement) -> None:
        """Closes a payment that was used, and how nobody could find, after some runs."""
        if self._final_s > (each.deadline_s or 0) + UNSEEN_S:
            self._unknown(each, "used_unseen")

    def _find_events(self, ended: Sequence[_Ended], logs: LogReader, ranges_max: int) -> int:
        """Searches the newest blocks for what ended authorizations; returns the first of them."""
        final = self._window.final_number
        if not ended:
            return final
        announced_s = min(one.announced_s for one in ended) - EVENT_MARGIN_S
        at = block_before(self._window.final, self._header, announced_s)
        first = max(final - ranges_max * logs.size, at)
        for start in range(0, len(ended), EVENTS_PER_QUERY):
            self._search(ended[start : start + EVENTS_PER_QUERY], logs, first, final)
        return first

    def _find_earlier(self, spent: Sequence[_Ended], logs: LogReader, searched_from: int) -> None:
        """Searches for what was announced before the newest blocks, each in the blocks of its time.

        A run that catches up meets payments of months ago. An authorization is used between its
        announcement and its deadline.
        """
        not_found = [one for one in spent if one.log is None]
        if not not_found:
            return
        header = self._header(searched_from)
        searched_from_s = header.timestamp if header else self._final_s
        earlier = [o for o in not_found if o.announced_s - EVENT_MARGIN_S < searched_from_s]
        for place, one in enumerate(earlier):
            one.is_searched = False
            if place < EARLIER_MAX:
                first = self._block_at(one.announced_s - EVENT_MARGIN_S)
                last = self._block_at((one.each.deadline_s or 0) + EVENT_MARGIN_S)
                last = min(last, first + EVENT_RANGES_MAX * logs.size, self._window.final_number)
                self._search([one], logs, first, last)

    def _search(self, ended: Sequence[_Ended], logs: LogReader, first: int, last: int) -> None:
        by_key = {_key_of(one.each.latest): one for one in ended}
        chunk = [one.each.latest for one in ended]
        query = {
            "address": sorted({each.asset for each in chunk}),
            "topics": [
                [AUTHORIZATION_USED, AUTHORIZATION_CANCELED],
                sorted({address_topic(each.payer) for each in chunk}),
                sorted({each.payment_ref for each in chunk}),
            ],
        }
        try:
            for _first, _last, found in logs.read([query], first, last):
                for answer in found:
                    log = item_or_none(FoundLog, answer)
                    if log and not log.removed and (one := by_key.get(_key_of_log(log))):
                        one.log = log
        except RailUnavailableError:
            self._window.count("events_not_searched")
            return
        for one in ended:
            one.is_searched = True

    def _block_at(self, time_s: int) -> int:
        """Returns a block that is a little earlier than a time, whatever the pace was since."""
        number, final = block_before(self._window.final, self._header, time_s), self._window.final
        for _ in range(_PLACING_STEPS):
            header = self._header(number)
            if header is None or abs(header.timestamp - time_s) < EVENT_MARGIN_S // 2:
                break
            pace = (final.number - number) / max(1, final.timestamp - header.timestamp)
            number -= int((header.timestamp - time_s) * pace)
            number = min(max(number, 0), final.number)
        return number

    # Results ----------------------------------------------------------------------------------

    def _unknown(self, each: OpenSettlement, reason: str, **changes: Any) -> None:
        """Closes a payment that nothing proves anything of."""
        self._window.count(f"closed_{reason}")
        self._closed += 1
        self._window.observations.append(each.closed(reason, **changes))

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
    ) -> None:
        self._window.observations.append(
            replace(
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
        )


def _gone(latest: Observation) -> Observation:
    """Returns a payment that was in a block as one that is in none."""
    attributes = {REORGED_FROM: latest.block_hash, **latest.attributes}
    return _in_no_block(latest, status="pending", attributes=attributes)


def _accepted_again(latest: Observation) -> Observation:
    """Returns a payment by Circle Gateway whose batch is gone: it waits for one again."""
    attributes = {**latest.attributes, BATCH_HASH: "", BATCH_NET: ""}
    return _in_no_block(latest, status="off_chain", tx_hash="", attributes=attributes)


def _in_no_block(latest: Observation, **changes: Any) -> Observation:
    return replace(
        latest,
        source="chain",
        failure_reason="",
        block_height=None,
        block_hash="",
        confirmations=0,
        finality="",
        **changes,
    )


def _without_block(latest: Observation) -> Observation:
    if not latest.block_hash:
        return latest
    attributes = {REORGED_FROM: latest.block_hash, **latest.attributes}
    return replace(latest, block_height=None, block_hash="", attributes=attributes)


def _has_authorization(latest: Observation) -> bool:
    """Returns whether the payment is identified by an EIP-3009 authorization that can be read."""
    return (
        is_hash(latest.payment_ref)
        and latest.payment_ref != latest.tx_hash
        and is_address(latest.payer)
        and is_address(latest.asset)
    )


def _state_of(latest: Observation) -> dict[str, str]:
    data = AUTHORIZATION_STATE + address_topic(latest.payer)[2:] + latest.payment_ref[2:]
    return {"to": latest.asset, "data": data}


def _key_of(latest: Observation) -> tuple[str, ...]:
    return latest.asset, address_topic(latest.payer), latest.payment_ref.lower()


def _key_of_log(log: FoundLog) -> tuple[str, ...]:
    return (log.address, *log.topics[1:])
