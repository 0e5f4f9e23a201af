"""Reads back what is recorded of payment channels, for the rail that follows them."""

from collections.abc import Sequence
from dataclasses import dataclass

from masques_pipelines.rails.protocol import ChannelClaim, FollowedChannel, Observation
from masques_pipelines.rails.revisions import seen_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


@dataclass(frozen=True)
class RecordedChannels:
    """The payment channels of one rail and network in a warehouse."""

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

    def settlements(self, channel_ids: Sequence[str]) -> Sequence[Observation]:
        """Returns the latest revisions of all vouchers and claims of channels."""
        parameters = {**self._of, "channels": list(channel_ids)}
        records = self.warehouse.records(sql("rails/channel_settlements"), parameters)
        return [seen_of(each) for each in records]

    def claims(self, channel_ids: Sequence[str]) -> Sequence[ChannelClaim]:
        """Returns the claims that are recorded of channels."""
        parameters = {**self._of, "channels": list(channel_ids)}
        records = self.warehouse.records(sql("rails/channel_claims"), parameters)
        return [ChannelClaim(**each) for each in records]

    @property
    def _of(self) -> dict[str, str]:
        return {"rail": self.rail, "network": self.network}
