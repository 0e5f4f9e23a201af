"""Opens the warehouse that MASQUES_CLICKHOUSE_URL names: embedded chDB or a ClickHouse server."""

import contextlib
import functools
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import secret_text
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse import embedded, served
from masques_pipelines.warehouse.client import CLIENT_SETTINGS, Origin, Warehouse
from masques_pipelines.warehouse.errors import WarehouseServedError, one_line, translate
from masques_pipelines.warehouse.retry import with_retries

CONNECT_TIMEOUT_S: Final = 10
# The longest statement is a rebuild of a month; a server that is gone is found by TCP keep-alive.
SEND_RECEIVE_TIMEOUT_S: Final = 600

_VARIABLE: Final = "MASQUES_CLICKHOUSE_URL"
_BY_FILE: Final = "MASQUES_CLICKHOUSE_PASSWORD_FILE"
_FORMS: Final = "chdb:///absolute/folder, or http(s)://user:password@host:port"
# What a server's URL may ask of the driver beyond host and user.
_FILE_OPTIONS: Final = ("ca_cert", "client_cert", "client_cert_key")
_SERVER_OPTIONS: Final = (*_FILE_OPTIONS, "server_host_name", "verify")


@contextlib.contextmanager
def open_warehouse(
    settings: Settings,
    *,
    origin: Origin,
    lock_timeout_s: float = embedded.LOCK_TIMEOUT_S,
) -> Iterator[Warehouse]:
    """Opens the warehouse of the settings; it closes with the context.

    Args:
        settings: They name the warehouse.
        origin: Who asks; goes into the log_comment of each query.
        lock_timeout_s: Longest wait for another process that has the embedded warehouse open.

    Raises:
        SettingError: The URL has none of the known forms.
        WarehouseBusyError: Another process did not release the embedded warehouse in time.
        WarehouseTransientError: The server cannot be reached.
        WarehousePermanentError: The server or the engine refused.
    """
    folder = embedded_folder(settings)
    if folder is not None:
        if settings.clickhouse_cluster:
            raise SettingError(
                "MASQUES_CLICKHOUSE_CLUSTER: the embedded warehouse is not a cluster: "
                f"unset it, or give {_VARIABLE} a server of the cluster"
            )
        with contextlib.ExitStack() as stack:
            yield _open_embedded(stack, folder, origin=origin, lock_timeout_s=lock_timeout_s)
        return
    client, description = _connect(settings)
    with contextlib.closing(client):
        yield Warehouse(
            client=client,
            description=description,
            cluster=settings.clickhouse_cluster,
            origin=origin,
            is_server=True,
            reopen=lambda: contextlib.closing(_connect(settings)[0]),
        )


def embedded_folder(settings: Settings) -> Path | None:
    """Returns the folder of the embedded warehouse; None when it is a server.

    Raises:
        SettingError: The URL is of the embedded form and names no usable folder.
    """
    url = settings.clickhouse_url
    return _embedded_folder(url) if urlsplit(url).scheme == "chdb" else None


def _open_embedded(
    stack: contextlib.ExitStack, folder: Path, *, origin: Origin, lock_timeout_s: float
) -> Warehouse:
    """Opens the engine in this process, or asks the process that serves it."""
    inserts = embedded.inserts_folder(folder)
    description = f"chdb://{folder}"
    until_s = time.monotonic() + lock_timeout_s
    while True:
        client = served.connect(folder)
        if client is not None:
            stack.callback(client.close)
            return Warehouse(
                client=client,
                calls=served.ServedCalls(folder),
                description=description,
                origin=origin,
                is_server=True,
                inserts_folder=inserts,
                reopen=functools.partial(served.second_client, folder),
            )
        try:
            engine = stack.enter_context(
                embedded.open_embedded(
                    folder,
                    lock_timeout_s=max(0.0, until_s - time.monotonic()),
                    is_served=functools.partial(served.is_served, folder),
                )
            )
        except WarehouseServedError:
            continue
        return Warehouse(
            client=engine.client,
            calls=engine.calls,
            description=description,
            origin=origin,
            insert_scope=functools.partial(embedded.temporary_files_in, inserts),
            inserts_folder=inserts,
            reopen=functools.partial(_second_client, folder, lock_timeout_s=lock_timeout_s),
        )


@contextlib.contextmanager
def _second_client(folder: Path, *, lock_timeout_s: float) -> Iterator[Client]:
    with embedded.open_embedded(folder, lock_timeout_s=lock_timeout_s) as engine:
        yield engine.client


def _embedded_folder(url: str) -> Path:
    parts = urlsplit(url)
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute() or folder == Path("/"):
        raise SettingError(
            f"{_VARIABLE}: an embedded warehouse needs an absolute folder with three slashes, "
            "as in chdb:///srv/masques/warehouse"
        )
    if parts.query or parts.fragment:
        raise SettingError(f"{_VARIABLE}: chdb:// takes no options; remove what follows the folder")
    return folder


def _connect(settings: Settings) -> tuple[Client, str]:
    parts = urlsplit(settings.clickhouse_url)
    try:
        port = parts.port
    except ValueError as error:
        raise SettingError(f"{_VARIABLE}: the port is not a number from 1 to 65535") from error
    if parts.scheme not in ("http", "https"):
        raise SettingError(f"{_VARIABLE}: the scheme is {parts.scheme!r}; use {_FORMS}")
    if not parts.hostname:
        raise SettingError(f"{_VARIABLE}: it names no host; use {_FORMS}")
    if parts.path not in ("", "/"):
        raise SettingError(
            f"{_VARIABLE}: remove the path {parts.path!r}: the databases have fixed names"
        )
    options: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_SERVER_OPTIONS))
    if unknown:
        raise SettingError(
            f"{_VARIABLE}: unknown option {unknown[0]!r}; known are {', '.join(_SERVER_OPTIONS)}"
        )
    _check_files(options)
    password = _password(settings, parts.password)
    secure = parts.scheme == "https"
    port = port or (8443 if secure else 8123)
    description = f"{parts.scheme}://{parts.hostname}:{port}"

    def connect() -> Client:
        try:
            return clickhouse_connect.get_client(
                host=parts.hostname,
                port=port,
                secure=secure,
                username=unquote(parts.username or "default"),
                password=password,
                connect_timeout=CONNECT_TIMEOUT_S,
                send_receive_timeout=SEND_RECEIVE_TIMEOUT_S,
                client_name="masques-pipelines",
                settings=CLIENT_SETTINGS,
                autogenerate_session_id=False,
                dedicated_pool=True,
                **options,
            )
        except ClickHouseError as error:
            raise translate(
                error, what=f"{description}: cannot connect (is {_VARIABLE} right, the server up?)"
            ) from error

    return with_retries(connect), description


def _check_files(options: Mapping[str, str]) -> None:
    """Refuses files of TLS that the driver could not use: it would name none of them."""
    for name in _FILE_OPTIONS:
        if name in options and not Path(options[name]).is_file():
            raise SettingError(
                f"{_VARIABLE}: {name} names no file ({options[name]}): give the path of one"
            )
    if "client_cert_key" in options and "client_cert" not in options:
        raise SettingError(f"{_VARIABLE}: client_cert_key is of no use without client_cert")
    context = ssl.create_default_context()
    for name, load in (
        ("ca_cert", context.load_verify_locations),
        ("client_cert", functools.partial(_load_pair, context, options.get("client_cert_key"))),
    ):
        try:
            if name in options:
                load(options[name])
        except (OSError, ssl.SSLError) as error:
            raise SettingError(
                f"{_VARIABLE}: {name} ({options[name]}) cannot be used ({one_line(str(error))}): "
                "give a PEM file"
            ) from error


def _load_pair(context: ssl.SSLContext, key: str | None, certificate: str) -> None:
    context.load_cert_chain(certificate, key)


def _password(settings: Settings, in_url: str | None) -> str:
    """Returns the password of the server's user, from the URL or from a file."""
    file = settings.clickhouse_password_file
    if file is None:
        return unquote(in_url or "")
    if in_url:
        raise SettingError(
            f"{_BY_FILE}: {_VARIABLE} holds a password as well: take it out of the URL"
        )
    return secret_text(file, _BY_FILE)
