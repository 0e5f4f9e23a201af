"""Reads the file of MASQUES_RAILS_FILE: several networks of one kind of rail, by name.

A secret is never in it: a URL that holds a key, a token and a macaroon are named by their files.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import (
    LIGHTNING_NETWORKS,
    RAILS_FILE,
    USDC,
    RailSettings,
    secret_text,
)
from masques_pipelines.strict_yaml import load_yaml

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
# A part of a URL's path that is longer than names are, of letters and digits: a provider's key.
_KEY: Final = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_-]{20,}")
_TAG_DEPTH: Final = 2


def _text(value: object) -> object:
    """YAML reads 0x… without quotes as a number, and a date as a date: the text is lost then."""
    if isinstance(value, str):
        return value
    raise ValueError(f"is no text for YAML ({type(value).__name__}): put it in quotes")


def _without_secret(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL")
    has_key = any(_KEY.fullmatch(part) for part in parts.path.split("/"))
    if parts.username or parts.password or parts.query or has_key:
        raise ValueError("seems to hold a key: put the URL in a file, and name it endpoint_file")
    return url


def _lightning(network: str) -> str:
    by_id = {caip2: name for name, caip2 in LIGHTNING_NETWORKS.items()}
    name = by_id.get(network, network)
    if name not in LIGHTNING_NETWORKS:
        raise ValueError(f"must be one of {', '.join(LIGHTNING_NETWORKS)}, or its CAIP-2 id")
    return name


def _matches(pattern: str, example: str) -> AfterValidator:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be a CAIP-2 id, as in {example}")
        return text

    return AfterValidator(check)


_Text = Annotated[str, BeforeValidator(_text)]
_Url = Annotated[str, BeforeValidator(_text), AfterValidator(_without_secret)]
_Path = Annotated[str, BeforeValidator(_text)]
_Texts = tuple[_Text, ...]
_Height = Annotated[int, Field(ge=0, strict=True)]
_Evm = Annotated[_Text, _matches(r"eip155:[1-9][0-9]{0,31}", "eip155:137")]
_Solana = Annotated[
    _Text,
    _matches(r"solana:[1-9A-HJ-NP-Za-km-z]{32}", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"),
]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: _Url | None = None
    endpoint_file: _Path | None = None


class _Node(_Entry):
    credential_file: _Path | None = None
    tls_cert_file: _Path | None = None

    @model_validator(mode="after")
    def _has_one_endpoint(self) -> "_Node":
        if (self.endpoint is None) == (self.endpoint_file is None):
            raise ValueError("needs one of endpoint and endpoint_file")
        return self


class BaseEntry(_Node):
    """An EVM network."""

    kind: Literal["base"]
    network: _Evm
    treasury: _Texts
    assets: _Texts | None = None
    finality: Literal["finalized", "safe"] = "finalized"
    gateway: _Url | None = None
    start: _Height | None = None


class SolanaEntry(_Node):
    """A cluster of Solana."""

    kind: Literal["solana"]
    network: _Solana
    treasury: _Texts
    assets: _Texts | None = None
    finality: Literal["finalized", "confirmed"] = "finalized"
    start: _Height | None = None


class LightningEntry(_Node):
    """An LND node."""

    kind: Literal["lightning"]
    network: Annotated[_Text, AfterValidator(_lightning)] = "mainnet"


class JournalEntry(_Entry):
    """The gate's journal, which is always read: an entry only gives it a name."""

    kind: Literal["journal"]

    @model_validator(mode="after")
    def _is_in_the_landing_zone(self) -> "JournalEntry":
        if self.endpoint is not None or self.endpoint_file is not None:
            raise ValueError("has no endpoint: the journal is read from MASQUES_LANDING_URL")
        return self


_ByKind = Annotated[
    BaseEntry | SolanaEntry | LightningEntry | JournalEntry, Field(discriminator="kind")
]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rails: Annotated[dict[str, _ByKind], Field(min_length=1)]


def read_rails_file(path: Path) -> tuple[RailSettings, ...]:
    """Reads and validates a rails file; it opens no node.

    Raises:
        SettingError: It cannot be used: one line for each error, with the place in the file.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingError(f"{RAILS_FILE}: {path}: it cannot be read ({reason})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise SettingError(f"{RAILS_FILE}: {path}: {line}{error.problem}: correct it") from None
    except yaml.YAMLError:
        raise SettingError(f"{RAILS_FILE}: {path}: it is not YAML") from None
    try:
        entries = TypeAdapter(_File).validate_python(content).rails
    except ValidationError as error:
        # Not chained, and without the values: a key may be where none belongs.
        raise _refused(path, [_line(each) for each in error.errors()]) from None
    problems = list(_problems(path, entries))
    if problems:
        raise _refused(path, problems)
    nodes = Counter(_network(each) for each in entries.values())
    return tuple(
        _settings_of(path, name, each, is_one_of_several=nodes[_network(each)] > 1)
        for name, each in entries.items()
    )


def _network(each: Any) -> tuple[str, str]:
    return each.kind, getattr(each, "network", "")


def _refused(path: Path, lines: list[str]) -> SettingError:
    return SettingError("\n".join(f"{RAILS_FILE}: {path}: {line}" for line in lines))


def _line(error: ErrorDetails) -> str:
    parts = [str(part) for part in error["loc"]]
    # Of an entry the union adds the kind to the path.
    if len(parts) > _TAG_DEPTH and parts[0] == "rails":
        parts.pop(_TAG_DEPTH)
    place = ".".join(parts) or "the file"
    if error["type"] == "value_error":
        return f"{place}: {error['ctx']['error']}"
    if error["type"] == "extra_forbidden":
        return f"{place}: there is no such key: remove it"
    if error["type"] == "missing":
        return f"{place}: it is needed"
    if error["type"].startswith("union_tag"):
        return f"{place}.kind: must be one of base, solana, lightning, journal"
    if error["type"] in ("dict_type", "model_type"):
        return f"{place}: must be names, each with its value"
    reason = error["msg"].removeprefix("Input ")
    return f"{place}: {reason[0].lower()}{reason[1:]}"


def _problems(path: Path, entries: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is wrong between entries, and with the files that they name."""
    seen: dict[tuple[str, ...], str] = {}
    for name, each in entries.items():
        place = f"rails.{name}"
        if _NAME.fullmatch(name) is None:
            yield f"{place}: a name begins with a-z and has at most 40 of a-z, 0-9, _ and -"
        network = getattr(each, "network", "")
        # Two nodes of one chain would read the same payments; each LND node has its own.
        one_of: tuple[str, ...] = (each.kind, network)
        if each.kind == "lightning":
            one_of = (*one_of, each.endpoint or "", each.endpoint_file or "")
        if one_of in seen:
            what = "endpoint" if each.kind == "lightning" else network or each.kind
            yield f"{place}: {what} is already that of rails.{seen[one_of]}: remove one of the two"
        seen.setdefault(one_of, name)
        for key in ("endpoint_file", "credential_file", "tls_cert_file"):
            file = getattr(each, key, None)
            if file is not None and not _beside(path, file).is_file():
                yield f"{place}.{key}: {_beside(path, file)} is not a file: give the path of one"
        if getattr(each, "treasury", None) == ():
            yield f"{place}.treasury: it is empty: give the addresses that payments come to"
        is_known = each.kind not in ("base", "solana") or network in USDC
        if not is_known and not each.assets:
            yield (
                f"{place}.assets: no token of {network} is known: give address:symbol:decimals of "
                "each"
            )


def _beside(path: Path, file: str) -> Path:
    """Returns a path of the file; one that is not absolute is beside the file."""
    return path.parent / Path(file).expanduser()


def _settings_of(path: Path, name: str, each: Any, *, is_one_of_several: bool) -> RailSettings:
    if isinstance(each, JournalEntry):
        return RailSettings(kind=each.kind, name=name, url=None, network="", file=path)
    files = {
        key: None if getattr(each, key) is None else _beside(path, getattr(each, key))
        for key in ("endpoint_file", "credential_file", "tls_cert_file")
    }
    url = each.endpoint
    if files["endpoint_file"] is not None:
        url = secret_text(files["endpoint_file"], f"{path}: {name}.endpoint_file")
    assets = getattr(each, "assets", None) or tuple(filter(None, [USDC.get(each.network)]))
    return RailSettings(
        kind=each.kind,
        name=name,
        url=url,
        network=each.network,
        node=name if is_one_of_several else "",
        treasury=getattr(each, "treasury", ()),
        assets=assets if each.kind != "lightning" else (),
        finality=getattr(each, "finality", ""),
        start=getattr(each, "start", None),
        gateway=getattr(each, "gateway", None),
        credential_file=files["credential_file"],
        tls_cert_file=files["tls_cert_file"],
        file=path,
    )
