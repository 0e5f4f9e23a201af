"""The rails of the settings, ready to be asked.

Here: from settings to rails: which are on, where, with which credentials.
Not here: the rails themselves.
A re-run opens anew; nothing is sent before the first fetch.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rails.base import rail as base
from masques_pipelines.rails.base.window import BaseConfig
from masques_pipelines.rails.journal import rail as journal
from masques_pipelines.rails.journal.messages import Known
from masques_pipelines.rails.lightning import rail as lightning
from masques_pipelines.rails.node import HttpNode, JsonRpc, open_node
from masques_pipelines.rails.protocol import Asset, OpenSettlements, Rail
from masques_pipelines.rails.solana import rail as solana
from masques_pipelines.rails.solana.addresses import is_address
from masques_pipelines.settings import RailSettings, Settings

# The order of a run: announced payments first, so that the chains can look for them.
RAILS: Final = (journal.NAME, base.NAME, solana.NAME, lightning.NAME)
_ENDPOINT: Final = {
    base.NAME: "MASQUES_BASE_RPC_URL",
    solana.NAME: "MASQUES_SOLANA_RPC_URL",
    lightning.NAME: "MASQUES_LND_URL",
}
_DECIMALS_MAX: Final = 18
_EVM_ADDRESS_LENGTH: Final = 42


def off_because(settings: Settings, name: str) -> str | None:
    """Returns why a rail is off, None when it is on."""
    if name == journal.NAME or _configured(settings, name).url is not None:
        return None
    return f"{_ENDPOINT[name]} is not set"


@contextlib.contextmanager
def open_rail(settings: Settings, name: str, open_settlements: OpenSettlements) -> Iterator[Rail]:
    """Opens one rail; its connections end with the context.

    Args:
        settings: What the rail is told.
        name: One of RAILS.
        open_settlements: Asked at each fetch for what is still open.

    Raises:
        SettingError: A setting of the rail cannot be used.
        RailRefusedError, RecordingError: Its endpoint or credentials cannot be used.
    """
    if name == journal.NAME:
        yield journal.JournalRail(settings.landing_url, _known(settings))
        return
    configured = _configured(settings, name)
    if configured.url is None:
        raise SettingError(f"{_ENDPOINT[name]}: it is not set, so there is nothing to read")
    headers = _headers(configured, name)
    node = open_node(configured.url, headers=headers, ca_file=configured.tls_cert_file)
    with contextlib.closing(node):
        yield _MAKERS[name](configured, node, open_settlements)


def _base(configured: RailSettings, node: HttpNode, open_now: OpenSettlements) -> Rail:
    for address in configured.treasury:
        if not _is_evm_address(address):
            raise SettingError(f"MASQUES_BASE_TREASURY: {address!r} is no address of 20 bytes")
    config = BaseConfig(
        network=configured.network,
        treasury=frozenset(address.lower() for address in configured.treasury),
        assets=_assets(configured, "MASQUES_BASE_ASSETS", _is_evm_address),
        finality=configured.finality,
        start_block=configured.start,
    )
    return base.BaseRail(JsonRpc(node), config, open_now)


def _solana(configured: RailSettings, node: HttpNode, open_now: OpenSettlements) -> Rail:
    for wallet in configured.treasury:
        if not is_address(wallet):
            raise SettingError(f"MASQUES_SOLANA_TREASURY: {wallet!r} is no address of 32 bytes")
    config = solana.SolanaConfig(
        network=configured.network,
        treasury=configured.treasury,
        mints=_assets(configured, "MASQUES_SOLANA_MINTS", is_address),
        finality=configured.finality,
        start_slot=configured.start,
    )
    return solana.SolanaRail(JsonRpc(node), config, open_now)


def _lightning(configured: RailSettings, node: HttpNode, open_now: OpenSettlements) -> Rail:
    return lightning.LightningRail(node, configured.network, open_now)


_MAKERS: Final[Mapping[str, Callable[[RailSettings, HttpNode, OpenSettlements], Rail]]] = {
    base.NAME: _base,
    solana.NAME: _solana,
    lightning.NAME: _lightning,
}


def _configured(settings: Settings, name: str) -> RailSettings:
    return {
        base.NAME: settings.base,
        solana.NAME: settings.solana,
        lightning.NAME: settings.lightning,
    }[name]


def _headers(configured: RailSettings, name: str) -> dict[str, str]:
    if configured.credential_file is None:
        return {}
    variable = "MASQUES_LND_MACAROON_FILE" if name == lightning.NAME else "…_BEARER_FILE"
    secret = _secret(configured.credential_file, variable)
    if name == lightning.NAME:
        return {"Grpc-Metadata-macaroon": secret.hex()}
    try:
        return {"Authorization": f"Bearer {secret.decode('ascii').strip()}"}
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{configured.credential_file}: it holds no token (not ASCII)"
        ) from error


def _secret(path: Path, variable: str) -> bytes:
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise SettingError(f"{variable}: {path} cannot be read ({error.strerror})") from error
    if not secret:
        raise SettingError(f"{variable}: {path} is empty")
    return secret


def _assets(
    configured: RailSettings, variable: str, is_known_address: Callable[[str], bool]
) -> tuple[Asset, ...]:
    assets = []
    for text in configured.assets:
        address, _, rest = text.partition(":")
        symbol, _, decimals = rest.partition(":")
        if not is_known_address(address) or not symbol or not decimals.isdigit():
            raise SettingError(f"{variable}: {text!r} is not address:symbol:decimals")
        if int(decimals) > _DECIMALS_MAX:
            raise SettingError(f"{variable}: {text!r} has more than {_DECIMALS_MAX} decimals")
        assets.append(Asset(_folded(address), symbol, int(decimals)))
    return tuple(assets)


def _known(settings: Settings) -> Known:
    """Returns what the journal may speak of: the tokens of both chains, on or off."""
    tokens = {}
    for configured, variable, is_known_address in (
        (settings.base, "MASQUES_BASE_ASSETS", _is_evm_address),
        (settings.solana, "MASQUES_SOLANA_MINTS", is_address),
    ):
        for asset in _assets(configured, variable, is_known_address):
            tokens[configured.network, asset.address] = asset
    return Known(tokens, lightning.CAIP2[settings.lightning.network])


def _is_evm_address(text: str) -> bool:
    digits = text.lower().removeprefix("0x")
    return len(text) == _EVM_ADDRESS_LENGTH and all(c in "0123456789abcdef" for c in digits)


def _folded(address: str) -> str:
    """Returns an EVM address in lower case; on Solana case matters."""
    return address.lower() if _is_evm_address(address) else address
