"""Describes a rail to the rest of the project: `<rail>/rail.py` exports one `RailDescriptor`.

The descriptors hold all that differs between rails. Outside a rail's folder only `catalog.py` names
a rail. A rail may be read on several networks, or from several nodes of one: each is a `RailPlace`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from masques_pipelines.rail_settings import RAIL_ENDPOINTS, RAILS_FILE, RailSettings
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
from masques_pipelines.settings import Settings


@dataclass(frozen=True)
class RailContext:
    """What a rail is opened with.

    Attributes:
        settings: All settings.
        configured: Those of the network that is opened.
        allow_list: The tokens and networks of all rails.
        open_settlements: Called in each fetch: the network's settlements that are still open.
        recorded: Called for blocks that are read again: the network's settlements confirmed there.
        channels: What is recorded of payment channels.
    """

    settings: Settings
    configured: RailSettings
    allow_list: AssetAllowList
    open_settlements: OpenSettlements
    recorded: RecordedSettlements = nothing_recorded
    channels: Channels = NO_CHANNELS


def no_assets(_configured: RailSettings) -> Mapping[tuple[str, str], Asset]:
    """Returns no token: the rail has none, or only its own coin."""
    return {}


def nothing_wrong(_configured: RailSettings) -> None:
    """Accepts all settings: the rail has none of its own."""


@dataclass(frozen=True)
class RailDescriptor:
    """One kind of rail.

    Attributes:
        name: Unique; the value of `settlements.rail` and part of the cursor's key.
        unit: What a position counts: block, slot, invoice index, byte.
        open: Opens the rail; its connections are closed with the context. Sends nothing before the
            first fetch.
        network: The other part of the cursor's key: CAIP-2 id, or '' for what has no network.
        position: The position of a cursor.
        rejected_from: How the sources of what it rejects begin; '' for its network.
        rewind: A cursor that reads again from an earlier position; None where that cannot be done.
        check: Raises SettingError for an address or a token that cannot be one.
        assets: The tokens that count as money, by (network, address).
        owns: Whether an open rail reads what a cursor was saved for; None where the network says
            that, and needed where several nodes of one network may be read.
        knows_expiry: Whether the rail itself decides announcements that nobody paid in time (an
            invoice expires); otherwise they are closed once it has read past their deadline.
        normalize_payer: Writes an address as `settlements.payer` has it; None on a rail where no
            payer has an address.
    """

    name: str
    unit: str
    open: Callable[[RailContext], AbstractContextManager[Rail]]
    network: Callable[[RailSettings], str]
    position: Callable[[Cursor], int]
    rejected_from: str = ""
    rewind: Callable[[Cursor, int], Cursor] | None = None
    check: Callable[[RailSettings], None] = nothing_wrong
    assets: Callable[[RailSettings], Mapping[tuple[str, str], Asset]] = no_assets
    owns: Callable[[Any, Cursor], bool] | None = None
    knows_expiry: bool = False
    normalize_payer: Callable[[str], str] | None = None

    @property
    def endpoint_variable(self) -> str:
        """The setting that switches the rail on; '' for a rail that is always on."""
        return RAIL_ENDPOINTS.get(self.name, "")


class RailKey(NamedTuple):
    """What a cursor, a run and a balance belong to.

    Attributes:
        rail: Name of the rail.
        network: CAIP-2 id, or '' for what has no network.
        node: What tells several nodes of one network apart, '' for the only one.
    """

    rail: str
    network: str
    node: str = ""


@dataclass(frozen=True)
class RailPlace:
    """One network of a rail, or one node of a network: what a run reads at a time.

    Attributes:
        kind: The rail.
        configured: Its settings.
    """

    kind: RailDescriptor
    configured: RailSettings

    @property
    def name(self) -> str:
        """What people call it; the rail's name where there is one network of it."""
        return self.configured.name

    @property
    def key(self) -> RailKey:
        """What its cursor belongs to."""
        return RailKey(self.kind.name, self.kind.network(self.configured), self.configured.node)

    @property
    def rejected_from(self) -> str:
        """How the sources of what it rejects begin."""
        key = self.key
        return self.kind.rejected_from or rejected_from(key.network, key.node)

    @property
    def disabled_reason(self) -> str | None:
        """Why it is off, None when it is on."""
        if not self.kind.endpoint_variable or self.configured.url is not None:
            return None
        if self.configured.file is not None:
            return f"{RAILS_FILE} has no entry of the kind {self.kind.name}"
        return f"{self.kind.endpoint_variable} is not set"


def rejected_from(network: str, node: str) -> str:
    """Returns how the sources begin of what one node of a network rejects."""
    return f"{network}:{node}" if node else network
