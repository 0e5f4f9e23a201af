"""Describes a rail to the rest of the project: `<rail>/rail.py` exports one `RailDescriptor`.

The descriptors hold all that differs between rails. Outside a rail's folder only `catalog.py` names
a rail.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from masques_pipelines.rails.protocol import (
    NO_CHANNELS,
    Asset,
    AssetAllowList,
    Channels,
    Cursor,
    OpenSettlements,
    Rail,
    RecordedSettlements,
    nothing_recorded,
)
from masques_pipelines.settings import RAIL_ENDPOINTS, Settings


@dataclass(frozen=True)
class RailContext:
    """What a rail is opened with.

    Attributes:
        settings: All settings; a rail reads its own block.
        allow_list: The tokens and networks of all rails.
        open_settlements: Called in each fetch: the rail's settlements that are still open.
        recorded: Called for blocks that are read again: the rail's settlements confirmed in them.
        channels: What is recorded of payment channels.
    """

    settings: Settings
    allow_list: AssetAllowList
    open_settlements: OpenSettlements
    recorded: RecordedSettlements = nothing_recorded
    channels: Channels = NO_CHANNELS


def no_assets(_settings: Settings) -> Mapping[tuple[str, str], Asset]:
    """Returns no token: the rail has none, or only its own coin."""
    return {}


@dataclass(frozen=True)
class RailDescriptor:
    """One rail.

    Attributes:
        name: Unique; the value of `settlements.rail` and part of the cursor's key.
        unit: What a position counts: block, slot, invoice index, byte.
        open: Opens the rail; its connections are closed with the context. Sends nothing before the
            first fetch.
        network: The other part of the cursor's key: CAIP-2 id, or '' for what has no network.
        position: The position of a cursor.
        rejected_from: How the sources of what it rejects begin; None for its network.
        endpoint: The value of the setting that switches the rail on.
        rewind: A cursor that reads again from an earlier position; None where that cannot be done.
        assets: The tokens that count as money, by (network, address).
        knows_expiry: Whether the rail itself decides announcements that nobody paid in time (an
            invoice expires); otherwise they are closed once it has read past their deadline.
        normalize_payer: Writes an address as `settlements.payer` has it; None on a rail where no
            payer has an address.
    """

    name: str
    unit: str
    open: Callable[[RailContext], AbstractContextManager[Rail]]
    network: Callable[[Settings], str]
    position: Callable[[Cursor], int]
    rejected_from: Callable[[Settings], str] | None = None
    endpoint: Callable[[Settings], str | None] = lambda _settings: None
    rewind: Callable[[Cursor, int], Cursor] | None = None
    assets: Callable[[Settings], Mapping[tuple[str, str], Asset]] = no_assets
    knows_expiry: bool = False
    normalize_payer: Callable[[str], str] | None = None

    @property
    def endpoint_variable(self) -> str:
        """The setting that switches the rail on; '' for a rail that is always on."""
        return RAIL_ENDPOINTS.get(self.name, "")

    def disabled_reason(self, settings: Settings) -> str | None:
        """Returns why the rail is off, None when it is on."""
        if self.endpoint_variable and self.endpoint(settings) is None:
            return f"{self.endpoint_variable} is not set"
        return None
