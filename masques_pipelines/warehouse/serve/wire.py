"""Reads a request of ClickHouse's HTTP interface, and gives errors the status that it gives."""

import base64
import binascii
import email.message
import email.parser
import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from lz4 import frame as lz4_frame  # type: ignore[import-untyped]  # ships no type information
from starlette.requests import Request

from masques_pipelines import zstd
from masques_pipelines.warehouse.serve.blocks import from_blocks
from masques_pipelines.warehouse.statements import (
    ServerError,
    Statement,
    not_implemented,
    read_statement,
)

MAX_URI_BYTES: Final = 1 << 20  # ClickHouse's own default for http_max_uri_size

# URL parameters that the HTTP interface itself consumes; all others are settings.
_TRANSPORT: Final = frozenset(
    {
        *("query", "database", "default_format", "query_id", "quota_key", "role"),
        *("user", "password", "session_id", "session_timeout", "session_check"),
        *("buffer_size", "wait_end_of_query", "client_protocol_version"),
        *("compress", "decompress", "enable_http_compression"),
        *("send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    }
)

# How a server turns error codes into HTTP status; the driver resends reads on 503.
STATUS: Final[Mapping[int, int]] = {
    **dict.fromkeys((6, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 376), 400),
    194: 401,
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 115, 336), 404),
    159: 408,
    48: 501,
    **dict.fromkeys((76, 209, 439), 503),
}

_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": lz4_frame.decompress,
    "zstd": zstd.decompress,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@dataclass(frozen=True)
class Question:
    """What a request asks.

    Attributes:
        sql: As it was sent, with the data of an insert.
        statement: The same, taken apart.
        settings: Of the statement.
        params: Bound to the statement.
        is_whole: The answer is wanted when it is known whole, so that an error has a status.
    """

    sql: bytes
    statement: Statement
    database: str
    query_id: str
    default_format: str
    session: str = ""
    is_whole: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


def read_question(request: Request, body: bytes, query_id: str) -> Question:
    """Reads a request whose body is known.

    Args:
        request: The request.
        body: Its body.
        query_id: Of a request that gives none.

    Raises:
        ServerError: It cannot be read, or asks for what is not served.
    """
    url = dict(request.query_params)
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        url, body = {**url, **_form_fields(kind, body)}, b""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        if encoding not in _DECODERS:
            raise not_implemented(f"Content-Encoding {encoding}")
        body = _DECODERS[encoding](body)
    if _is_set(url, "decompress"):
        body = _unblocked(body)
    query = url.get("query", "").encode()
    sql = query + b"\n" + body if query and body else query or body
    given = {name: value for name, value in url.items() if name not in _TRANSPORT}
    names = {name for name in given if name.startswith("param_")}
    params = {name.removeprefix("param_"): given.pop(name) for name in names}
    default_format = request.headers.get("x-clickhouse-format", "TabSeparated")
    return Question(
        sql=sql,
        statement=read_statement(sql),
        database=url.get("database") or request.headers.get("x-clickhouse-database") or "default",
        query_id=url.get("query_id") or query_id,
        default_format=url.get("default_format", default_format),
        session=url.get("session_id", ""),
        is_whole=_is_set(url, "wait_end_of_query"),
        settings=given,
        params=params,
    )


def credentials(request: Request) -> tuple[str, str]:
    """Returns user and password of a request, wherever it has them."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    asked = request.query_params
    user = request.headers.get("x-clickhouse-user") or asked.get("user") or "default"
    return user, request.headers.get("x-clickhouse-key") or asked.get("password") or ""


def wants_blocks(request: Request) -> bool:
    """Says whether an answer is wanted in ClickHouse's own blocks."""
    return _is_set(request.query_params, "compress")


def _is_set(url: Mapping[str, str], name: str) -> bool:
    return url.get(name, "0") not in {"", "0", "false"}


def _unblocked(body: bytes) -> bytes:
    try:
        return from_blocks(body)
    except ValueError as error:
        text = f"Code: 271. DB::Exception: {error}: send it again. (CANNOT_DECOMPRESS)"
        raise ServerError(271, text) from error


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The driver sends a form once its bound parameters are too long for a URL."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser().parsebytes(head + body)
    fields = {}
    for part in cast("list[email.message.Message]", form.get_payload()):
        if part.get_filename() is not None:
            raise not_implemented("external data")
        name = part.get_param("name", header="content-disposition")
        fields[str(name)] = cast("bytes", part.get_payload(decode=True)).decode()
    return fields
