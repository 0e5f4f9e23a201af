"""Reads payment channels on Base: claims, deposits and withdrawals of the channels of the journal.

The scan searches the events of channels that have money to claim; what a channel holds is asked of
the contract once an event touched it, or a voucher of it is new. A claim is recorded when it is
final, and vouchers follow from the claims that are recorded (voucher_states.py), so a run that ends
anywhere does the same again.

A withdrawal is read at the newest block: its delay may be shorter than the time to finality.
"""

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import is_representable, whole_units
from masques_pipelines.rails.answers import ShapeError, item_or_none
from masques_pipelines.rails.base.balances import NO_CONTRACT
from masques_pipelines.rails.base.escrow import (
    CLAIMED,
    TAKEN_BACK,
    WITHDRAW_DELAY_MIN_S,
    channel_of,
    claimed,
    pair,
    search,
    state_call,
    withdrawal_call,
)
from masques_pipelines.rails.base.logs import LogReader
from masques_pipelines.rails.base.messages import FoundLog, Header, Receipt
from masques_pipelines.rails.base.transfers import network_fee
from masques_pipelines.rails.base.voucher_states import ChannelNow, ReadTo, VoucherStates
from masques_pipelines.rails.base.window import (
    NAME,
    BaseConfig,
    Window,
    block_before,
    headers_of,
)
from masques_pipelines.rails.node import JsonRpc
from masques_pipelines.rails.protocol import (
    CHARGED_TOTAL,
    WITHDRAW_DELAY,
    Asset,
    ChannelClaim,
    Channels,
    ChannelState,
    FollowedChannel,
    Observation,
    RailUnavailableError,
)

# Channels that a fetch looks at although nothing happened to them, in turn.
IN_TURN_MAX: Final = 20
# Channels in one search: providers limit the values of a list.
CHANNELS_PER_QUERY: Final = 100
# Ranges of blocks that a search for missed events may take.
SEARCH_RANGES_MAX: Final = 50
# A clock of a gate may be wrong, and a line late.
SEARCH_MARGIN_S: Final = 3_600
_GET_RECEIPT: Final = "eth_getTransactionReceipt"
_NOTHING: Final = (0, 0)


class VoucherReader:
    """Reads the payment channels of one fetch.

    Attributes:
        looked: The last channel that was looked at in turn, without an event.
    """

    def __init__(
        self, rpc: JsonRpc, config: BaseConfig, channels: Channels, window: Window, looked: str = ""
    ) -> None:
        self._rpc, self._config, self._channels, self._window = rpc, config, channels, window
        self._assets = {asset.address: asset for asset in config.assets}
        self._followed: Sequence[FollowedChannel] = ()
        self._span = (0, 0)
        self._taken_back: dict[str, int] = {}
        self._unbacked: set[str] = set()
        self.looked = looked

    def searches(self, first: int, last: int) -> list[dict[str, Any]]:
        """Returns the searches for events of the channels to follow in blocks first…last."""
        self._span = (first, last)
        self._followed = self._channels.followed(first, last)
        return _searches([each.channel_id for each in self._followed])

    def resolve(
        self,
        events: Sequence[FoundLog],
        waiting: Mapping[str, int],
        logs: LogReader,
        *,
        since_block: int,
    ) -> dict[str, int]:
        """Adds claims, channels and what became of their vouchers to the window.

        Args:
            events: What the scan found of the searches.
            waiting: Channels that earlier fetches could not decide, each with when its payer last
                took money back, 0 when no event says that.
            logs: Searches for events that were missed.
            since_block: First block that was ever read.

        Returns:
            Channels that the next fetch has to decide, in the same way.
        """
        first, last = self._span
        final = self._window.final_number
        # Nothing is decided on the way to the newest final block: earlier blocks are searched at
        # its end, not again for each fetch.
        missed = self._missed(logs, min(first - 1, final)) if last >= final else []
        found = [*events, *missed]
        touched = {*waiting, *filter(None, map(channel_of, found))}
        made = self._claims([each for each in found if each.block_number <= final])
        self._window.claims.extend(made)
        self._taken_back.update({channel: at_ns for channel, at_ns in waiting.items() if at_ns})
        self._note_taken_back(found)
        if last < final:
            return self._with_taken_back(touched)
        again = self._in_turn()
        due = sorted(
            {*touched, *again, *(e.channel_id for e in self._followed if e.search_from_ns)}
        )
        if self._is_read_again(first, last):
            due = sorted({*due, *(each.channel_id for each in self._followed)})
        undecided: list[str] = []
        for start in range(0, len(due), CHANNELS_PER_QUERY):
            chunk = due[start : start + CHANNELS_PER_QUERY]
            undecided += self._decide(chunk, made, logs, since_block)
        return self._with_taken_back(undecided)

    def _with_taken_back(self, channel_ids: Iterable[str]) -> dict[str, int]:
        return {each: self._taken_back.get(each, 0) for each in sorted(channel_ids)}

    def _in_turn(self) -> list[str]:
        """Returns some channels with money to claim: an answer about them may have been wrong."""
        followed = sorted(each.channel_id for each in self._followed)
        place = bisect.bisect_right(followed, self.looked)
        chosen = followed[place : place + IN_TURN_MAX]
        self.looked = chosen[-1] if place + IN_TURN_MAX < len(followed) else ""
        return chosen

    def _is_read_again(self, first: int, last: int) -> bool:
        return first <= min(last, self._window.reread_to)

    def _missed(self, logs: LogReader, last: int) -> list[FoundLog]:
        """Returns the events of earlier blocks of channels whose vouchers are new."""
        wanted = [e for e in self._followed if e.search_from_ns is not None]
        if not wanted or last < 0:
            return []
        earliest_ns = min(e.search_from_ns or 0 for e in wanted)
        return self._search(logs, [each.channel_id for each in wanted], earliest_ns, last)

    def _search(
        self, logs: LogReader, channel_ids: Sequence[str], earliest_ns: int, last: int
    ) -> list[FoundLog]:
        """Returns the events of channels from a time to a block, within limits."""
        earliest_s = earliest_ns // 10**9 - SEARCH_MARGIN_S
        first = max(
            block_before(self._window.final, self._header, earliest_s),
            last - SEARCH_RANGES_MAX * logs.size,
            0,
        )
        found: list[FoundLog] = []
        if first > last:
            return []
        try:
            for _first, _last, answers in logs.read(_searches(channel_ids), first, last):
                events = [item_or_none(FoundLog, answer) for answer in answers]
                found += [each for each in events if each is not None and not each.removed]
        except RailUnavailableError:
            self._window.count("channels_not_searched")
        return found

    def _header(self, number: int) -> Header | None:
        return headers_of(self._rpc, [number])[number]

    def _claims(self, found: Sequence[FoundLog]) -> list[ChannelClaim]:
        """Returns claims that receipts and blocks have too; what differs is searched again."""
        by_tx: dict[str, list[FoundLog]] = {}
        for log in found:
            if log.topics[:1] == (CLAIMED,):
                by_tx.setdefault(log.transaction_hash, []).append(log)
        answers = self._rpc.many([(_GET_RECEIPT, [tx]) for tx in by_tx])
        receipts = [item_or_none(Receipt, answer) for answer in answers]
        headers = headers_of(self._rpc, (each.block_number for each in receipts if each))
        made: dict[tuple[str, int], ChannelClaim] = {}
        for (tx, logs), receipt in zip(by_tx.items(), receipts, strict=True):
            header = headers[receipt.block_number] if receipt else None
            if receipt is None or header is None or not _holds(receipt, tx, logs, header):
                self._window.count("claims_disagree")
                continue
            wanted = {channel_of(log) for log in logs}
            for claim in self._of_receipt(receipt, header):
                if claim.channel_id in wanted:
                    made[claim.channel_id, claim.total] = claim
        return list(made.values())

    def _of_receipt(self, receipt: Receipt, header: Header) -> Iterator[ChannelClaim]:
        fee = network_fee(receipt, header.timestamp)
        fee = fee if is_representable(fee) else Decimal(0)
        for event in filter(None, map(claimed, receipt.logs)):
            yield ChannelClaim(
                channel_id=event.channel_id,
                total=event.total,
                units=event.units,
                tx_hash=receipt.transaction_hash,
                block_height=receipt.block_number,
                block_hash=receipt.block_hash,
                time_ns=header.timestamp * 10**9,
                submitted_by=receipt.sender,
                network_fee=fee,
            )
            fee *= 0  # a transaction's fee is recorded once

    def _note_taken_back(self, found: Sequence[FoundLog]) -> None:
        """Notes when the payers of channels last took money back, by final events."""
        newest: dict[str, int] = {}
        for log in found:
            if log.topics[:1] and log.topics[0] in TAKEN_BACK:
                channel = channel_of(log)
                if channel and log.block_number <= self._window.final_number:
                    newest[channel] = max(newest.get(channel, 0), log.block_number)
        headers = headers_of(self._rpc, newest.values())
        for channel, number in newest.items():
            if header := headers[number]:
                at_ns = header.timestamp * 10**9
                self._taken_back[channel] = max(at_ns, self._taken_back.get(channel, 0))

    def _look_for_withdrawals(
        self,
        logs: LogReader,
        rows: Mapping[str, Sequence[Observation]],
        states: Mapping[str, tuple[tuple[int, int], tuple[int, int]]],
    ) -> None:
        """Searches the event that took money out of channels that hold less than was claimable."""
        doubted: dict[str, int] = {}
        for channel, ((balance, _claimed), _withdrawal) in states.items():
            missing = [
                row.timestamp_ns
                for row in rows.get(channel, ())
                if row.status == "claimable" and int(row.attributes[CHARGED_TOTAL]) > balance
            ]
            if missing and channel not in self._taken_back:
                doubted[channel] = min(missing)
        if doubted:
            self._window.count("withdrawals_searched", len(doubted))
            earliest_ns, last = min(doubted.values()), self._window.final_number
            before = self._window.notes.get("channels_not_searched", 0)
            self._note_taken_back(self._search(logs, sorted(doubted), earliest_ns, last))
            if self._window.notes.get("channels_not_searched", 0) == before:
                self._unbacked = doubted.keys() - self._taken_back.keys()

    def _decide(
        self,
        channel_ids: Sequence[str],
        made: Sequence[ChannelClaim],
        logs: LogReader,
        since_block: int,
    ) -> list[str]:
        """Decides the vouchers of channels; returns the channels that the node said nothing of."""
        rows: dict[str, list[Observation]] = {}
        above = self._above(channel_ids, made)
        for row in self._channels.settlements(above):
            rows.setdefault(row.payment_ref, []).append(row)
        claims = self._known_claims(above, made)
        states = self._states(channel_ids)
        self._look_for_withdrawals(logs, rows, states)
        undecided: list[str] = []
        for channel in channel_ids:
            ours = rows.get(channel, [])
            asset = self._assets.get(ours[0].asset) if ours else None
            if asset is None:
                continue
            state, known = states.get(channel), claims.get(channel, [])
            if state is None or (known and max(each.total for each in known) > state[0][1]):
                self._window.count("channels_unread")
                undecided.append(channel)
                continue
            self._decide_one(channel, asset, ours, known, state, since_block)
        return undecided

    def _decide_one(  # noqa: PLR0913, PLR0917 - all that is known of one channel
        self,
        channel: str,
        asset: Asset,
        rows: Sequence[Observation],
        claims: Sequence[ChannelClaim],
        state: tuple[tuple[int, int], tuple[int, int]],
        since_block: int,
    ) -> None:
        (balance, claimed_units), (withdrawing, asked_s) = state
        delay_s = max(int(r.attributes.get(WITHDRAW_DELAY) or 0) for r in rows)
        delay_s = delay_s or WITHDRAW_DELAY_MIN_S
        until_s = asked_s + delay_s if asked_s else None
        now = ChannelNow(
            channel_id=channel,
            asset=asset,
            balance=balance,
            claimed=claimed_units,
            withdrawing=withdrawing,
            claim_until_s=until_s,
            taken_back_ns=self._taken_back.get(channel),
            claims=claims,
            is_unbacked=channel in self._unbacked,
        )
        final = self._window.final
        read = ReadTo(
            rail=NAME,
            network=self._config.network,
            finality=self._config.finality,
            fee_currency=self._config.fee_currency,
            treasury=self._config.treasury,
            since_block=since_block,
            head=self._window.head,
            final_ns=final.timestamp * 10**9,
        )
        self._window.observations.extend(VoucherStates(now, rows, read).changed())
        voucher = next((r for r in rows if CHARGED_TOTAL in r.attributes), rows[0])
        amounts = [whole_units(each, asset.decimals) for each in (balance, claimed_units)]
        self._window.channels.append(
            ChannelState(
                channel_id=channel,
                payer=voucher.payer,
                to_address=voucher.to_address,
                asset=asset.address,
                currency=asset.symbol,
                balance=amounts[0],
                claimed=amounts[1],
                claimed_units=claimed_units,
                withdrawing=whole_units(withdrawing, asset.decimals),
                claim_until_s=until_s,
                withdraw_delay_s=delay_s,
                block=final.number,
                read_at_ns=final.timestamp * 10**9,
            )
        )

    def _above(self, channel_ids: Sequence[str], made: Sequence[ChannelClaim]) -> dict[str, int]:
        """Returns the unit of each channel above which something may change.

        What a channel has settled before the claim that its open vouchers come after stays as it
        is, unless its claims are read again: a channel may have years of vouchers.
        """
        if self._is_read_again(*self._span):
            return dict.fromkeys(channel_ids, 0)
        settled = self._channels.settled_to(channel_ids)
        found = {each: settled.get(each, 0) for each in channel_ids}
        for each in made:
            if each.channel_id in found:
                start = each.total - each.units
                found[each.channel_id] = min(found[each.channel_id], start)
        return found

    def _known_claims(
        self, above: Mapping[str, int], made: Sequence[ChannelClaim]
    ) -> dict[str, list[ChannelClaim]]:
        """Returns claims of channels above a unit; recorded ones that the chain lacks are gone."""
        first, last = self._span
        upto = min(last, self._window.final_number)
        by_key = {(each.channel_id, each.total): each for each in made}
        known = dict(by_key)
        for each in self._channels.claims(above):
            key = each.channel_id, each.total
            is_read = self._is_read_again(first, last) and first <= each.block_height <= upto
            if key not in by_key and is_read:
                self._window.claims.append(replace(each, is_gone=True))
            else:
                known.setdefault(key, each)
        found: dict[str, list[ChannelClaim]] = {}
        for each in known.values():
            found.setdefault(each.channel_id, []).append(each)
        return found

    def _states(
        self, channel_ids: Sequence[str]
    ) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
        """Returns what the contract says: balance and claimed; what was asked back, and when."""
        at = hex(self._window.final_number)
        calls = [call for c in channel_ids for call in (state_call(c, at), _withdrawal_now(c))]
        answers = self._rpc.many(calls)
        found = {}
        for place, channel in enumerate(channel_ids):
            try:
                state, withdrawal = (_pair_of(each) for each in answers[2 * place : 2 * place + 2])
            except ShapeError:
                continue
            found[channel] = (state, withdrawal)
        return found


def _withdrawal_now(channel: str) -> tuple[str, Sequence[Any]]:
    return withdrawal_call(channel, "latest")


def _pair_of(answer: Any) -> tuple[int, int]:
    return _NOTHING if answer == NO_CONTRACT else pair(answer, "channel")


def _holds(receipt: Receipt, tx: str, logs: Sequence[FoundLog], header: Header) -> bool:
    """Returns whether a receipt and its block have the events that the search found."""
    events = {(log.address, log.topics, log.data) for log in receipt.logs}
    return (
        receipt.transaction_hash == tx
        and receipt.status == 1
        and header.hash == receipt.block_hash
        and all(
            log.block_hash == receipt.block_hash and (log.address, log.topics, log.data) in events
            for log in logs
        )
    )


def _searches(channel_ids: Sequence[str]) -> list[dict[str, Any]]:
    return [
        search(channel_ids[start : start + CHANNELS_PER_QUERY])
        for start in range(0, len(channel_ids), CHANNELS_PER_QUERY)
    ]
