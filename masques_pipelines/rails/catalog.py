"""Lists the rails: the only module outside their folders that names them.

A new rail is a folder with a descriptor, one entry here, and its settings.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.rails.base import rail as base
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor, RailPlace
from masques_pipelines.rails.journal import rail as journal
from masques_pipelines.rails.lightning import rail as lightning
from masques_pipelines.rails.protocol import (
    NO_CHANNELS,
    AssetAllowList,
    Channels,
    OpenSettlements,
    Rail,
    RecordedSettlements,
    nothing_recorded,
)
from masques_pipelines.rails.solana import rail as solana
from masques_pipelines.settings import Settings

# In the order of a run: announced payments first, so that the chains can look for them.
RAILS: Final[tuple[RailDescriptor, ...]] = (
    journal.DESCRIPTOR,
    base.DESCRIPTOR,
    solana.DESCRIPTOR,
    lightning.DESCRIPTOR,
)


def by_name(name: str) -> RailDescriptor:
    """Returns a rail's descriptor; KeyError when there is no such rail."""
    return {each.name: each for each in RAILS}[name]


def places(settings: Settings) -> tuple[RailPlace, ...]:
    """Returns the networks and nodes of all rails, switched on or not, in the order of a run.

    A kind without settings of its own is read with none; where it needs an endpoint, it is off.
    """
    found: list[RailPlace] = []
    for kind in RAILS:
        own = [each for each in settings.rails if each.kind == kind.name]
        file = next((each.file for each in settings.rails), None)
        none = RailSettings(kind=kind.name, name=kind.name, url=None, network="", file=file)
        found += [RailPlace(kind, each) for each in own or [none]]
    return tuple(found)


def place(settings: Settings, name: str) -> RailPlace:
    """Returns the network or node of a name.

    Raises:
        SettingError: There is none of that name.
    """
    known = {each.name: each for each in places(settings)}
    if name not in known:
        raise SettingError(f"{name!r} is not one of {', '.join(known)}")
    return known[name]


def allow_list(settings: Settings) -> AssetAllowList:
    """Returns the tokens and networks of all rails, switched on or not.

    Raises:
        SettingError: A token of the settings is not address:symbol:decimals.
    """
    read = [each for each in places(settings) if each.key.network]
    return AssetAllowList(
        assets={
            key: asset for each in read for key, asset in each.kind.assets(each.configured).items()
        },
        networks={each.key.network: each.kind.name for each in read},
    )


@contextlib.contextmanager
def open_rail(
    settings: Settings,
    at: RailPlace,
    open_settlements: OpenSettlements,
    recorded: RecordedSettlements = nothing_recorded,
    channels: Channels = NO_CHANNELS,
) -> Iterator[Rail]:
    """Opens one network or node of a rail; its connections are closed with the context.

    Args:
        settings: All settings.
        at: The network or node.
        open_settlements: Called in each fetch: its settlements that are still open.
        recorded: Called for blocks that are read again: its settlements confirmed in them.
        channels: What is recorded of the network's payment channels.

    Raises:
        SettingError: The rail is off, or one of its settings cannot be used.
        RailRefusedError: Its endpoint or credentials cannot be used.
    """
    reason = at.disabled_reason
    if reason is not None:
        raise SettingError(f"{reason}: the rail {at.name} is off; set it to read the rail")
    at.kind.check(at.configured)
    context = RailContext(
        settings, at.configured, allow_list(settings), open_settlements, recorded, channels
    )
    with at.kind.open(context) as rail:
        yield rail
