"""What is recorded of payment channels, in memory: as the warehouse would have it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from masques_pipelines.rails.protocol import (
    BATCH_HASH,
    CHANNEL,
    CHARGED_TOTAL,
    CLAIM_TO,
    DEADLINE,
    ChannelClaim,
    ChannelState,
    FetchResult,
    FollowedChannel,
    Observation,
    OpenSettlement,
)
from masques_pipelines.rails.revisions import Revision, open_of


@dataclass
class MemoryChannels:
    """Channels beside revisions that somebody else keeps.

    Attributes:
        revisions: The latest revision of each settlement.
    """

    revisions: Mapping[Any, Revision]
    recorded: dict[tuple[str, int], ChannelClaim] = field(default_factory=dict)
    states: dict[str, ChannelState] = field(default_factory=dict)

    def fold(self, result: FetchResult) -> None:
        for each in result.claims:
            if each.is_gone:
                self.recorded.pop((each.channel_id, each.total), None)
            else:
                self.recorded[each.channel_id, each.total] = each
        self.states |= {each.channel_id: each for each in result.channels}

    def followed(self, first: int, last: int) -> Sequence[FollowedChannel]:
        open_ones: dict[str, list[Observation]] = {}
        for seen in self._of():
            if seen.status in ("off_chain", "claimable") and CHARGED_TOTAL in seen.attributes:
                open_ones.setdefault(seen.payment_ref, []).append(seen)
        again = {e.channel_id for e in self.recorded.values() if first <= e.block_height <= last}
        held = {c for c, each in self.states.items() if each.balance > each.claimed}
        return [
            FollowedChannel(channel, self._from(channel, open_ones.get(channel, [])))
            for channel in sorted({*open_ones, *again, *held})
        ]

    def _from(self, channel: str, vouchers: Sequence[Observation]) -> int | None:
        new = [each.timestamp_ns for each in vouchers if each.status == "off_chain"]
        if new:
            return min(new)
        known = max((t for c, t in self.recorded if c == channel), default=0)
        state = self.states.get(channel)
        if vouchers and state is not None and state.claimed_units > known:
            return min(each.timestamp_ns for each in vouchers)
        return None

    def settled_to(self, channel_ids: Sequence[str]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for channel in channel_ids:
            ours = [
                each
                for each in self._of()
                if each.payment_ref == channel and CHARGED_TOTAL in each.attributes
            ]
            totals = [int(each.attributes[CHARGED_TOTAL]) for each in ours]
            is_open = ("off_chain", "claimable")
            open_ones = [t for t, e in zip(totals, ours, strict=True) if e.status in is_open]
            first = min([*open_ones, max(totals, default=0)])
            ends = [total for known, total in self.recorded if known == channel and total < first]
            found[channel] = max(ends, default=0)
        return found

    def settlements(self, above: Mapping[str, int]) -> Sequence[Observation]:
        return [
            seen
            for seen in self._of()
            if seen.payment_ref in above and _end_of(seen) > above[seen.payment_ref]
        ]

    def claims(self, above: Mapping[str, int]) -> Sequence[ChannelClaim]:
        return [
            each
            for each in self.recorded.values()
            if each.channel_id in above and each.total > above[each.channel_id]
        ]

    def deferred(
        self, *, after: str, limit: int, closed_since_s: int | None
    ) -> Sequence[OpenSettlement]:
        late = ("not_settled_until_deadline", "batch_not_proved")
        found = [
            open_of(seen)
            for seen in (each.seen for each in self.revisions.values())
            if CHARGED_TOTAL not in seen.attributes
            and len(seen.payment_ref) == 66
            and (
                seen.status == "off_chain"
                or (
                    closed_since_s is not None
                    and seen.status == "unknown"
                    and seen.failure_reason in late
                    and int(seen.attributes.get(DEADLINE, "0")) >= closed_since_s
                )
            )
        ]
        found.sort(key=lambda each: (str(each.settlement_id) <= after, str(each.settlement_id)))
        return found[:limit]

    def in_batches(self, hashes: Sequence[str]) -> Sequence[Observation]:
        return [
            each.seen
            for each in self.revisions.values()
            if each.seen.status == "confirmed" and each.seen.attributes.get(BATCH_HASH) in hashes
        ]

    def _of(self) -> Iterable[Observation]:
        return [e.seen for e in self.revisions.values() if CHANNEL in e.seen.attributes]


def _end_of(seen: Observation) -> int:
    return int(seen.attributes.get(CHARGED_TOTAL) or seen.attributes[CLAIM_TO])
