"""Turns a rail's settings into a connection and a list of tokens.

The settings module checks only what holds for every rail; what an address is, each rail knows.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.rails.node import HttpNode, open_node
from masques_pipelines.rails.protocol import Asset
from masques_pipelines.rails.redaction import Redactor, secrets_of
from masques_pipelines.settings import Settings

DECIMALS_MAX: Final = 18
_CREDENTIAL_BYTES_MAX: Final = 64 * 1024


@contextlib.contextmanager
def open_endpoint(
    configured: RailSettings, *, headers: Mapping[str, str] | None = None
) -> Iterator[HttpNode]:
    """Opens the node of a rail that is on; its connections are closed with the context.

    Raises:
        RailRefusedError: The URL or the certificate cannot be used.
    """
    node = open_node(
        configured.url or "",
        headers=headers,
        ca_file=configured.tls_cert_file,
        transport=configured.transport() if configured.transport else None,
    )
    with contextlib.closing(node):
        yield node


def bearer_headers(path: Path | None, variable: str) -> dict[str, str]:
    """Returns the header of a bearer token that is kept in a file; none without a file.

    Raises:
        SettingError: The file cannot be read or holds no token.
    """
    if path is None:
        return {}
    try:
        token = read_secret(path, variable).decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{variable}: {path} does not hold a token (it is not ASCII): give the file that the "
            "provider's token is in"
        ) from error
    return {"Authorization": f"Bearer {token}"}


def read_secret(path: Path, variable: str) -> bytes:
    """Returns the bytes of a credential file.

    Raises:
        SettingError: It cannot be read, or is empty.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise SettingError(f"{variable}: {path} cannot be read ({error.strerror})") from error
    if not secret:
        raise SettingError(f"{variable}: {path} is empty")
    return secret


def own_secrets(settings: Settings) -> Redactor:
    """Returns what takes the secrets of all rails out of a text, the last guard before it is kept.

    A credential that cannot be read is in no text; that is said where it is needed.
    """
    secrets = secrets_of(settings.landing_url, {})
    for configured in settings.rails:
        headers = {}
        with contextlib.suppress(OSError):
            if configured.credential_file is not None:
                credential = configured.credential_file.read_bytes()[:_CREDENTIAL_BYTES_MAX]
                headers = {"text": credential.decode("latin-1").strip(), "hex": credential.hex()}
        secrets += secrets_of(configured.url or "", headers)
    return Redactor(secrets)


def parse_assets(
    texts: tuple[str, ...],
    variable: str,
    *,
    is_address: Callable[[str], bool],
    normalize: Callable[[str], str] = str,
) -> tuple[Asset, ...]:
    """Parses `address:symbol:decimals` of each allowed token.

    Raises:
        SettingError: A text does not have that form, or has more than DECIMALS_MAX decimals.
    """
    assets = []
    for text in texts:
        address, _, rest = text.partition(":")
        symbol, _, decimals = rest.partition(":")
        if not is_address(address) or not symbol or not decimals.isdigit():
            raise SettingError(f"{variable}: {text!r} is not address:symbol:decimals")
        if int(decimals) > DECIMALS_MAX:
            raise SettingError(f"{variable}: {text!r} has more than {DECIMALS_MAX} decimals")
        assets.append(Asset(normalize(address), symbol, int(decimals)))
    return tuple(assets)
