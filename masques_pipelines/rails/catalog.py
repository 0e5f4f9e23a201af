"""Lists the rails: the only module outside their folders that names them.

A new rail is a folder with a descriptor, one entry here, and its settings.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rails.base import rail as base
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
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


def disabled_reason(settings: Settings, name: str) -> str | None:
    """Returns why a rail is off, None when it is on."""
    return by_name(name).disabled_reason(settings)


def allow_list(settings: Settings) -> AssetAllowList:
    """Returns the tokens and networks of all rails, switched on or not.

    Raises:
        SettingError: A token of the settings is not address:symbol:decimals.
    """
    networks = {each.name: each.network(settings) for each in RAILS}
    return AssetAllowList(
        assets={key: asset for each in RAILS for key, asset in each.assets(settings).items()},
        networks={name: network for name, network in networks.items() if network},
    )


@contextlib.contextmanager
def open_rail(
    settings: Settings,
    name: str,
    open_settlements: OpenSettlements,
    recorded: RecordedSettlements = nothing_recorded,
    channels: Channels = NO_CHANNELS,
) -> Iterator[Rail]:
    """Opens one rail; its connections are closed with the context.

    Args:
        settings: Where the rail is, and what of it is ours.
        name: Name of the rail.
        open_settlements: Called in each fetch: the rail's settlements that are still open.
        recorded: Called for blocks that are read again: the rail's settlements confirmed in them.
        channels: What is recorded of the rail's payment channels.

    Raises:
        SettingError: The rail is off, or one of its settings cannot be used.
        RailRefusedError: Its endpoint or credentials cannot be used.
    """
    descriptor = by_name(name)
    reason = descriptor.disabled_reason(settings)
    if reason is not None:
        raise SettingError(f"{reason}: the rail {name} is off; set it to read the rail")
    context = RailContext(settings, allow_list(settings), open_settlements, recorded, channels)
    with descriptor.open(context) as rail:
        yield rail
