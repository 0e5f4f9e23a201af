"""Reads back what is recorded of payments that settle later, for the rail that follows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from masques_pipelines.rails.protocol import (
    ChannelClaim,
    FollowedChannel,
    Observation,
    OpenSettlement,
)
from masques_pipelines.rails.revisions import open_of, seen_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Later than any deadline that the query compares with.
_NEVER_S: Final = 2**62


@dataclass(frozen=True)
class RecordedChannels:
    """The payment channels, and the payments by Circle Gateway, of one network in a warehouse."""

    warehouse: Warehouse
    rail: str
    network: str

    def followed(self, first: int, last: int) -> Sequence[FollowedChannel]:
        """Returns channels with money to claim, and those with claims in blocks first…last."""
        parameters = {**self._of, "first": first, "last": last}
        records = self.warehouse.records(sql("rails/followed_channels"), parameters)
        return [
            FollowedChannel(
                each["channel_id"],
                int(each["search_from_ns"]) if each["search_from_ns"] is not None else None,
            )
            for each in records
        ]

    def settled_to(self, channel_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns up to which unit everything of channels is settled, at the end of a claim."""
        parameters = {**self._of, "channels": list(channel_ids)}
        records = self.warehouse.records(sql("rails/channels_settled_to"), parameters)
        return {each["channel_id"]: int(each["settled_to"]) for each in records}

    def settlements(self, above: Mapping[str, int]) -> Sequence[Observation]:
        """Returns the latest revisions of vouchers and claims above a unit of each channel."""
        parameters = {**self._of, **_floors(above)}
        records = self.warehouse.records(sql("rails/channel_settlements"), parameters)
        return [seen_of(each) for each in records]

    def claims(self, above: Mapping[str, int]) -> Sequence[ChannelClaim]:
        """Returns the claims that are recorded above a unit of each channel."""
        parameters = {**self._of, **_floors(above)}
        records = self.warehouse.records(sql("rails/channel_claims"), parameters)
        return [ChannelClaim(**each) for each in records]

    def deferred(
        self, *, after: str, limit: int, closed_since_s: int | None
    ) -> Sequence[OpenSettlement]:
        """Returns payments by Circle Gateway that no batch has settled, by id around a circle."""
        parameters = {
            **self._of,
            "after": after,
            "limit": limit,
            "closed_since_s": closed_since_s if closed_since_s is not None else _NEVER_S,
        }
        records = self.warehouse.records(sql("rails/deferred_settlements"), parameters)
        return [open_of(seen_of(each)) for each in records]

    def in_batches(self, hashes: Sequence[str]) -> Sequence[Observation]:
        """Returns the payments by Circle Gateway that batches are recorded to have settled."""
        parameters = {**self._of, "hashes": list(hashes)}
        records = self.warehouse.records(sql("rails/batch_settlements"), parameters)
        return [seen_of(each) for each in records]

    @property
    def _of(self) -> dict[str, str]:
        return {"rail": self.rail, "network": self.network}


def _floors(above: Mapping[str, int]) -> dict[str, list[str]]:
    """Returns channels and units as two arrays of one order; units are larger than any integer."""
    return {"channels": list(above), "floors": [str(each) for each in above.values()]}
