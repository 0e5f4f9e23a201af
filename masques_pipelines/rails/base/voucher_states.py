"""Decides what became of the vouchers of one payment channel; a function of what is known only.

Vouchers are cumulative: the payment that brings what a channel has paid from 900 to 1,000 is
claimed by the first claim of at least 1,000. So each payment is a range of units of its channel,
and so is each claim. What a claim has and no known voucher does is a payment of its own, which no
line of the journal announced; a line that comes later takes its place. The order in which lines,
claims and withdrawals are read changes nothing.
"""

import bisect
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from masques_pipelines.money import whole_units
from masques_pipelines.rails.protocol import (
    CHANNEL,
    CHARGED_TOTAL,
    CLAIM_FROM,
    CLAIM_TO,
    CLOSED,
    DEADLINE,
    SUPERSEDED_BY,
    Asset,
    ChannelClaim,
    Observation,
)
from masques_pipelines.rails.settlement_ids import claim_without_voucher

# Nobody waits longer for the deposit that a voucher needs.
UNBACKED_S: Final = 7 * 24 * 3600
CLAIM_HASH: Final = "claim_hash"
EXPIRED: Final = "claim_expired"


@dataclass(frozen=True)
class ChannelNow:
    """One channel, as the contract and its events say it; amounts in the smallest unit.

    Attributes:
        channel_id: The channel.
        asset: Its token.
        balance: What was deposited, less what the payer took back.
        claimed: What was claimed.
        withdrawing: What the payer has asked back.
        claim_until_s: When the payer can take that; None when nothing was asked back.
        taken_back_ns: When the payer last took money back, where an event of that is known.
        claims: The claims that are known, by total.
        is_unbacked: Whether no event is found that took the money of what was claimable: then an
            answer of the contract was wrong, and it was never there.
    """

    channel_id: str
    asset: Asset
    balance: int
    claimed: int
    withdrawing: int
    claim_until_s: int | None
    taken_back_ns: int | None
    claims: Sequence[ChannelClaim]
    is_unbacked: bool = False


@dataclass(frozen=True)
class ReadTo:
    """Up to where the chain was read.

    Attributes:
        rail: Name of the rail.
        network: CAIP-2 id.
        finality: The rail's own word.
        fee_currency: What transactions are paid for with.
        treasury: Our addresses.
        since_block: First block that was ever read: earlier claims are no money that came in.
        head: Number of the newest block.
        final_ns: Time of the newest final block.
    """

    rail: str
    network: str
    finality: str
    fee_currency: str
    treasury: frozenset[str]
    since_block: int
    head: int
    final_ns: int


class VoucherStates:
    """The vouchers and claims of one channel."""

    def __init__(self, now: ChannelNow, rows: Sequence[Observation], read: ReadTo) -> None:
        self._now, self._read = now, read
        self._claims = sorted(now.claims, key=lambda each: each.total)
        self._totals = [each.total for each in self._claims]
        self._vouchers = sorted(
            (each for each in rows if CHARGED_TOTAL in each.attributes), key=_total
        )
        self._others = {each.settlement_id: each for each in rows if CLAIM_TO in each.attributes}

    def changed(self) -> list[Observation]:
        """Returns the vouchers and claims that are another now than they are recorded."""
        found = [after for each in self._vouchers if _differs(after := self._after(each), each)]
        unnamed = {each.settlement_id: each for each in self._unnamed()}
        found += [
            each
            for each in unnamed.values()
            if (was := self._others.get(each.settlement_id)) is None or _differs(each, was)
        ]
        for each in self._others.values():
            if each.settlement_id not in unnamed and each.status == "confirmed":
                found.append(self._replaced(each, unnamed))
        return found

    def _after(self, each: Observation) -> Observation:
        """Returns what became of a voucher."""
        total = _total(each)
        claim = self._claim_of(total)
        if claim is not None and total <= self._now.claimed:
            return self._confirmed(each, claim)
        if total <= self._now.claimed:
            return each  # claimed, and the claim is still searched for
        if total <= self._now.balance:
            return self._open(each, total)
        if each.status == "off_chain" and (self._now.taken_back_ns or 0) <= each.timestamp_ns:
            return self._without_deposit(each)
        return self._not_backed(each)

    def _not_backed(self, each: Observation) -> Observation:
        """Returns a voucher whose money the contract does not hold any more, or never held."""
        if each.status == "claimable" and self._now.is_unbacked:
            return self._seen(each, status="off_chain", finality="", attributes=_with(each, {}))
        # What the contract says is not enough: an event has to say that money left.
        if each.status in {"failed", "unknown"} or self._now.taken_back_ns is None:
            return each
        return self._seen(
            each,
            status="failed",
            failure_reason=EXPIRED,
            timestamp_ns=self._now.taken_back_ns,
            attributes=_with(each, {}),
        )

    def _claim_of(self, total: int) -> ChannelClaim | None:
        place = bisect.bisect_left(self._totals, total)
        if place == len(self._claims):
            return None
        claim = self._claims[place]
        return claim if claim.total - claim.units < total else None

    def _confirmed(self, each: Observation, claim: ChannelClaim) -> Observation:
        is_last = _total(each) == claim.total
        return self._seen(
            each,
            status="confirmed",
            attributes=_with(each, {CLAIM_HASH: claim.tx_hash}),
            **self._of_claim(claim, pays_fee=is_last),
        )

    def _of_claim(self, claim: ChannelClaim, *, pays_fee: bool) -> dict[str, Any]:
        """Returns the fields that a claim gives; its fee is recorded once, with its last unit."""
        return {
            "tx_hash": claim.tx_hash,
            "block_height": claim.block_height,
            "block_hash": claim.block_hash,
            "confirmations": max(0, self._read.head - claim.block_height + 1),
            "timestamp_ns": claim.time_ns,
            "network_fee": claim.network_fee if pays_fee else Decimal(0),
            "fee_currency": self._read.fee_currency,
        }

    def _open(self, each: Observation, total: int) -> Observation:
        """Returns a voucher that can be claimed, with the deadline if its money is asked back."""
        is_asked_back = total > self._now.balance - self._now.withdrawing
        until_s = self._now.claim_until_s if is_asked_back else None
        deadline = {DEADLINE: str(until_s)} if until_s is not None else {}
        was_final = each.status in {"confirmed", "failed"}
        return self._seen(
            each,
            status="claimable",
            timestamp_ns=self._read.final_ns if was_final else each.timestamp_ns,
            attributes=_with(each, deadline),
        )

    def _without_deposit(self, each: Observation) -> Observation:
        reason = ""
        if each.to_address not in self._read.treasury:
            reason = "receiver_is_not_ours"
        elif self._read.final_ns > each.timestamp_ns + UNBACKED_S * 10**9:
            reason = "deposit_not_found"
        if not reason:
            return each
        return replace(
            each,
            source="chain",
            status="unknown",
            failure_reason=reason,
            attributes=_with(each, {CLOSED: reason}),
        )

    def _seen(self, each: Observation, **changes: Any) -> Observation:
        plain: dict[str, Any] = {
            "source": "chain",
            "finality": self._read.finality,
            "failure_reason": "",
            "tx_hash": "",
            "block_height": None,
            "block_hash": "",
            "confirmations": 0,
            "network_fee": Decimal(0),
            "fee_currency": "",
        }
        return replace(each, **{**plain, **changes})

    # What no voucher is known of --------------------------------------------------------------

    def _unnamed(self) -> Iterator[Observation]:
        for first, last, claim in self._gaps():
            known = next(iter(self._vouchers), None)
            identity = claim_without_voucher(self._read.network, self._now.channel_id, first, last)
            yield Observation(
                settlement_id=identity,
                source="chain",
                rail=self._read.rail,
                network=self._read.network,
                direction="in",
                status="confirmed",
                amount=whole_units(last - first + 1, self._now.asset.decimals),
                currency=self._now.asset.symbol,
                asset=self._now.asset.address,
                to_address=known.to_address if known else "",
                payer=known.payer if known else "",
                payment_ref=self._now.channel_id,
                finality=self._read.finality,
                attributes={
                    CHANNEL: self._now.channel_id,
                    CLAIM_FROM: str(first),
                    CLAIM_TO: str(last),
                    CLAIM_HASH: claim.tx_hash,
                    "submitted_by": claim.submitted_by,
                },
                **self._of_claim(claim, pays_fee=last == claim.total),
            )

    def _gaps(self) -> Iterator[tuple[int, int, ChannelClaim]]:
        """Yields the units of each claim that no claimed voucher is known of, first and last."""
        decimals = self._now.asset.decimals
        ranges = [
            (_total(each) - int(each.amount.scaleb(decimals)) + 1, _total(each))
            for each in self._vouchers
            if self._claim_of(_total(each)) is not None
        ]
        place, covered_to = 0, 0
        for claim in self._claims:
            at = claim.total - claim.units + 1
            while at <= claim.total:
                while place < len(ranges) and ranges[place][0] <= at:
                    covered_to = max(covered_to, ranges[place][1])
                    place += 1
                if covered_to >= at:
                    at = covered_to + 1
                    continue
                following = ranges[place][0] if place < len(ranges) else claim.total + 1
                last = min(claim.total, following - 1)
                if claim.block_height >= self._read.since_block:
                    yield at, last, claim
                at = last + 1

    def _replaced(self, each: Observation, unnamed: Mapping[uuid.UUID, Observation]) -> Observation:
        """Returns a claim whose voucher came later, or that the chain has no more."""
        last = int(each.attributes[CLAIM_TO])
        if self._claim_of(last) is None:
            return replace(
                each, source="chain", status="failed", failure_reason="reorged_out",
                block_height=None, block_hash="", confirmations=0,
            )  # fmt: skip
        by = next(
            (v for v in self._vouchers if _total(v) >= last and self._claim_of(_total(v))), None
        )
        smaller = next((u for u in unnamed.values() if int(u.attributes[CLAIM_TO]) == last), by)
        other = str(smaller.settlement_id) if smaller else ""
        return replace(
            each, source="chain", status="superseded",
            attributes={**each.attributes, SUPERSEDED_BY: other},
        )  # fmt: skip


def _total(each: Observation) -> int:
    return int(each.attributes[CHARGED_TOTAL])


def _with(each: Observation, more: Mapping[str, str]) -> dict[str, str]:
    """Returns the attributes of a voucher, with what its state alone says left out or empty."""
    kept = {name: value for name, value in each.attributes.items() if name != CLOSED}
    gone = dict.fromkeys({DEADLINE, CLAIM_HASH} & kept.keys(), "")
    return {**kept, **gone, **more}


def _differs(after: Observation, before: Observation) -> bool:
    names = ("status", "failure_reason", "tx_hash", "block_hash", "network_fee")
    if any(getattr(after, name) != getattr(before, name) for name in names):
        return True
    return any(
        after.attributes.get(name, "") != before.attributes.get(name, "")
        for name in (DEADLINE, CLOSED)
    )
