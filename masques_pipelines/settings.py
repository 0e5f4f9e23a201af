"""Settings: every MASQUES_ variable, its type, its default, and what it means.

The environment is read when a run or a command asks, never at import, and again at each call.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import (
    ONE_NETWORK,
    RAILS_FILE,
    USDC,
    RailSettings,
    secret_text,
)

_PREFIX: Final = "MASQUES_"
_LIMIT_PARTS: Final = 4
_PACKAGE_DIRECTORY: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class BreakLimit:
    """Up to where breaks of a class that nobody has written a note of are no alert.

    Attributes:
        break_class: The class, as docs/reconciliation.md has it.
        breaks: How many.
        usd: What they may be worth together.
        hours: How long the oldest may be open.
    """

    break_class: str
    breaks: int
    usd: Decimal
    hours: int


@dataclass(frozen=True)
class Settings:
    """The settings as values, with defaults filled in; `Variables` says what each means.

    Attributes:
        rails: What is read, by network; without MASQUES_RAILS_FILE one network of each kind, on or
            off.
        sandbox: MASQUES_SANDBOX: True, False, or None when it is not set.
        sandbox_folder: The folder of the sandbox when this is one, else None; it is set by
            sandbox/stand_ins.py, never here.
        given: Names of the variables that have a value.
    """

    home: Path
    clickhouse_url: str = field(repr=False)
    clickhouse_cluster: str | None
    ledger_url: str | None
    ledger_chart: Path | None
    landing_url: str = field(repr=False)
    intake_bad_share_max: float
    landing_channels: Path | None
    landing_recent_days: int | None
    rails: tuple[RailSettings, ...]
    reputation_model: Path | None = None
    alerts_file: Path | None = None
    break_limits: tuple[BreakLimit, ...] = ()
    clickhouse_password_file: Path | None = None
    sandbox: bool | None = None
    sandbox_folder: Path | None = None
    given: frozenset[str] = frozenset()


def project_root() -> Path:
    """Returns the checkout that this package runs from, or the working folder of an installed one.

    `.env` and the default MASQUES_HOME are looked for there, so that a command
    means the same from whichever folder it is called.
    """
    checkout = _PACKAGE_DIRECTORY.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "sql").is_dir():
        return checkout
    return Path.cwd()


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    return path if path.is_absolute() else project_root() / path


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give the path of one, or unset it")
    return path


def _landing(url: str) -> str:
    return url if "://" in url else str(_absolute(Path(url)))


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _cluster_name(name: str) -> str:
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(
            f"{name!r} is not a valid cluster name: use letters, digits, '_' and '-', as in "
            "system.clusters"
        )
    return name


def _certificate(path: Path) -> Path:
    import ssl  # noqa: PLC0415 - most commands ask no node

    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"{path} cannot be read as a certificate ({type(error).__name__}): give a PEM file of "
            "the server's certificate, or of the authority that signed it"
        ) from error
    return path


_Folder = Annotated[Path, AfterValidator(_absolute)]
_File = Annotated[Path, AfterValidator(_absolute), AfterValidator(_readable)]
_Certificate = Annotated[
    Path, AfterValidator(_absolute), AfterValidator(_readable), AfterValidator(_certificate)
]
_List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _is_web_url(url: str) -> str:
    parts = urlsplit(url)
    is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    if not is_url or parts.username or parts.password or parts.query:
        raise ValueError("must be an http:// or https:// URL without credentials")
    return url


def _are_limits(given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        _limit(each)
    return given


def _limit(text: str) -> BreakLimit:
    parts = text.split(":")
    numbers = [part for part in parts[1:] if part.isascii() and part.replace(".", "", 1).isdigit()]
    if len(parts) != _LIMIT_PARTS or len(numbers) != _LIMIT_PARTS - 1 or "." in parts[1] + parts[3]:
        raise ValueError(
            f"{text!r} is not class:breaks:usd:hours: give, for example, "
            "served_not_paid:20:50.00:72"
        )
    return BreakLimit(parts[0], int(parts[1]), Decimal(parts[2]), int(parts[3]))


_Height = Annotated[int, Field(ge=0)]


class Variables(BaseSettings):
    """Every variable by its name without MASQUES_; a blank value means unset."""

    model_config = SettingsConfigDict(
        alias_generator=lambda name: f"{_PREFIX}{name.upper()}",
        case_sensitive=True,
        extra="ignore",
        frozen=True,
    )

    home: _Folder = Field(
        default_factory=lambda: project_root() / "var",
        description="Folder of everything that is written locally.",
    )
    sandbox: Literal["0", "1"] | None = Field(
        None,
        description="1: demo data in a warehouse of its own; 0: never. Unset: a sandbox while no "
        "real system is configured and MASQUES_HOME never held one.",
    )
    clickhouse_url: str | None = Field(
        None,
        description="chdb:///abs/folder (embedded) or http(s)://user:password@host:port; embedded "
        "in $MASQUES_HOME/warehouse when unset.",
    )
    clickhouse_password_file: _File | None = Field(
        None, description="File of the server's password, in the place of one in the URL."
    )
    clickhouse_cluster: Annotated[str, AfterValidator(_cluster_name)] | None = Field(
        None, description="Name of the ClickHouse cluster: migrations run their cluster form."
    )
    ledger_url: str | None = Field(
        None,
        description="tigerbeetle://host:port,…/?cluster_id=7, capture:///abs/folder, or "
        "sandbox:///abs/folder: a sandbox in that folder.",
    )
    ledger_chart: _File | None = Field(
        None, description="Assets and scales of ledgers, meaning of codes; the packaged chart.yaml."
    )
    landing_url: Annotated[str, AfterValidator(_landing)] | None = Field(
        None,
        description="Where producers deliver files: a folder or any fsspec URL; "
        "$MASQUES_HOME/landing when unset.",
    )
    landing_channels: _File | None = Field(
        None,
        description="YAML file: who delivers where in the landing zone, and what they may write; "
        "one channel when unset.",
    )
    landing_recent_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        None,
        description="Folders that are named by a date more days ago than this are looked into "
        "once a day; when unset, those of more than three days ago are when nothing came or went.",
    )
    intake_bad_share_max: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="Share of bad rows, 0 to 1, above which the intake's check fails."
    )
    reputation_model: _File | None = Field(
        None, description="Parameters of the reputation model; the packaged model.yaml."
    )
    alerts_file: _File | None = Field(
        None, description="YAML file: who is told of what is wrong; nobody when unset."
    )
    break_limits: Annotated[_List, AfterValidator(_are_limits)] = Field(
        (),
        description="Breaks that are no alert yet, as class:breaks:usd:hours of each class, for "
        "example served_not_paid:20:50:72; none of any class when unset.",
    )

    rails_file: _File | None = Field(
        None,
        description="YAML file: several networks of one kind of rail, by name; then none of the "
        "variables of one network may be set.",
    )
    base_rpc_url: str | None = Field(None, description="JSON-RPC node; unset: the rail is off.")
    base_rpc_url_file: _File | None = Field(
        None, description="File of the node's URL, when the URL holds a key."
    )
    base_bearer_file: _File | None = Field(None, description="File of the node's bearer token.")
    base_tls_cert_file: _Certificate | None = Field(
        None, description="The node's certificate, or its authority's, when it is not a public one."
    )
    base_network: str = Field("eip155:8453", description="CAIP-2 id of the chain.")
    base_treasury: _List = Field((), description="Our addresses, separated by commas.")
    base_assets: _List = Field(
        (), description="address:symbol:decimals of each token; USDC of the network."
    )
    base_finality: Literal["finalized", "safe"] = Field("finalized", description="What decides.")
    base_start_block: _Height | None = Field(
        None, description="First block to read; from now on when unset."
    )

    base_gateway_url: Annotated[str, AfterValidator(_is_web_url)] | None = Field(
        None,
        description="API of Circle Gateway, as https://gateway-api.circle.com; unset: payments by "
        "it stay off the chain.",
    )

    solana_rpc_url: str | None = Field(None, description="JSON-RPC node; unset: the rail is off.")
    solana_rpc_url_file: _File | None = Field(
        None, description="File of the node's URL, when the URL holds a key."
    )
    solana_bearer_file: _File | None = Field(None, description="File of the node's bearer token.")
    solana_tls_cert_file: _Certificate | None = Field(
        None, description="The node's certificate, or its authority's, when it is not a public one."
    )
    solana_network: str = Field(
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", description="CAIP-2 id of the chain."
    )
    solana_treasury: _List = Field((), description="Our wallets, separated by commas.")
    solana_mints: _List = Field(
        (), description="address:symbol:decimals of each token; USDC of the network."
    )
    solana_finality: Literal["finalized", "confirmed"] = Field(
        "finalized", description="What decides."
    )
    solana_start_slot: _Height | None = Field(
        None, description="First slot to read; from now on when unset."
    )

    lnd_url: str | None = Field(None, description="LND's REST address; unset: the rail is off.")
    lnd_macaroon_file: _File | None = Field(None, description="A read-only macaroon.")
    lnd_tls_cert_file: _Certificate | None = Field(None, description="The node's own certificate.")
    lnd_network: Literal["mainnet", "testnet", "signet", "regtest"] = Field(
        "mainnet", description="The node's network."
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A blank line in .env means unset; a blank in the environment also hides .env."""
        texts = {name: str(value).strip() for name, value in values.items()}
        return {name: text for name, text in texts.items() if text}


VARIABLES: Final = tuple(f"{_PREFIX}{name.upper()}" for name in Variables.model_fields)


def environment() -> dict[str, str]:
    """Returns what the process's environment says, and `.env` where it says nothing."""
    from_file = dotenv_values(project_root() / ".env")
    known = {name: value for name, value in from_file.items() if value is not None}
    return {**known, **os.environ}


def home_folder() -> Path:
    """Returns MASQUES_HOME, or the checkout's `var`, without reading another setting."""
    return _absolute(Path(environment().get("MASQUES_HOME") or "var"))


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment, and from `.env` where the environment is silent.

    Args:
        environ: Read instead of the process's environment (and then `.env` is not looked at).

    Raises:
        SettingError: Values cannot be used (one line for each), or a MASQUES_ variable is not
            known: a misspelt name would otherwise be ignored and a default used in its place.
    """
    unknown = sorted(set(environment() if environ is None else environ) - set(VARIABLES))
    lines = [
        f"{name}: there is no such setting; known are {', '.join(VARIABLES)}"
        for name in unknown
        if name.startswith(_PREFIX)
    ]
    if lines:
        raise SettingError("\n".join(lines))
    try:
        if environ is None:
            return _settings(Variables(_env_file=project_root() / ".env"))
        # Every name is given, so that the process's own environment is not read as well.
        return _settings(
            Variables.model_validate({name: environ.get(name, "") for name in VARIABLES})
        )
    except ValidationError as error:
        # Not chained: the text of the cause holds values, and a URL holds a password.
        raise SettingError("\n".join(_line(each) for each in error.errors())) from None


def _line(error: ErrorDetails) -> str:
    """Returns one bad value as a line that begins with the variable's name."""
    name = error["loc"][0]
    if error["type"] == "value_error":  # of a function of this module
        return f"{name}: {error['ctx']['error']}"
    reason = error["msg"].removeprefix("Input should be ")
    return f"{name}: {error['input']!r} is not valid: it should be {reason}"


def _settings(read: Variables) -> Settings:
    given = {f"{_PREFIX}{name.upper()}" for name in read.model_fields_set}
    # A file in the place of a value is the value.
    given |= {name.removesuffix("_FILE") for name in given if name.endswith("_URL_FILE")}
    return Settings(
        home=read.home,
        clickhouse_url=read.clickhouse_url or f"chdb://{quote(str(read.home / 'warehouse'))}",
        clickhouse_cluster=read.clickhouse_cluster,
        clickhouse_password_file=read.clickhouse_password_file,
        ledger_url=read.ledger_url,
        ledger_chart=read.ledger_chart,
        landing_url=read.landing_url or str(read.home / "landing"),
        intake_bad_share_max=read.intake_bad_share_max,
        landing_channels=read.landing_channels,
        landing_recent_days=read.landing_recent_days,
        rails=_rails(read),
        reputation_model=read.reputation_model,
        alerts_file=read.alerts_file,
        break_limits=tuple(_limit(each) for each in read.break_limits),
        sandbox=None if read.sandbox is None else read.sandbox == "1",
        given=frozenset(given),
    )


def _rails(read: Variables) -> tuple[RailSettings, ...]:
    """Returns the rails of the file, or those of the one-network form."""
    if read.rails_file is None:
        return _one_network_each(read)
    given = sorted(f"{_PREFIX}{name.upper()}" for name in read.model_fields_set)
    lines = [
        f"{name}: {RAILS_FILE} is set as well: unset it, and give the rail in {read.rails_file}"
        for name in given
        if name.startswith(ONE_NETWORK)
    ]
    if lines:
        raise SettingError("\n".join(lines))
    # Most commands have no such file.
    from masques_pipelines.rails_file import read_rails_file  # noqa: PLC0415

    return read_rails_file(read.rails_file)


def _one_network_each(read: Variables) -> tuple[RailSettings, ...]:
    base_url = _url(read.base_rpc_url, read.base_rpc_url_file, "BASE_RPC_URL")
    solana_url = _url(read.solana_rpc_url, read.solana_rpc_url_file, "SOLANA_RPC_URL")
    return (
        RailSettings(
            kind="base",
            name="base",
            url=base_url,
            network=read.base_network,
            treasury=_treasury(base_url, read.base_treasury, "BASE"),
            assets=_assets(base_url, read.base_assets, read.base_network, "BASE_ASSETS"),
            finality=read.base_finality,
            start=read.base_start_block,
            gateway=read.base_gateway_url,
            credential_file=read.base_bearer_file,
            tls_cert_file=read.base_tls_cert_file,
        ),
        RailSettings(
            kind="solana",
            name="solana",
            url=solana_url,
            network=read.solana_network,
            treasury=_treasury(solana_url, read.solana_treasury, "SOLANA"),
            assets=_assets(solana_url, read.solana_mints, read.solana_network, "SOLANA_MINTS"),
            finality=read.solana_finality,
            start=read.solana_start_slot,
            credential_file=read.solana_bearer_file,
            tls_cert_file=read.solana_tls_cert_file,
        ),
        RailSettings(
            kind="lightning",
            name="lightning",
            url=read.lnd_url,
            network=read.lnd_network,
            credential_file=read.lnd_macaroon_file,
            tls_cert_file=read.lnd_tls_cert_file,
        ),
    )


def _url(url: str | None, file: Path | None, variable: str) -> str | None:
    """Returns a URL from its variable or from the file in its place."""
    if file is None:
        return url
    name = f"{_PREFIX}{variable}_FILE"
    if url is not None:
        raise SettingError(f"{name}: {_PREFIX}{variable} is set as well: unset one of them")
    return secret_text(file, name)


def _treasury(url: str | None, treasury: tuple[str, ...], chain: str) -> tuple[str, ...]:
    if url is not None and not treasury:
        raise SettingError(
            f"{_PREFIX}{chain}_TREASURY: it is needed with {_PREFIX}{chain}_RPC_URL: "
            "give the addresses that payments come to, separated by commas"
        )
    return treasury


def _assets(
    url: str | None,
    assets: tuple[str, ...],
    network: str,
    variable: str,
) -> tuple[str, ...]:
    """Returns the tokens that count as money; what a token is, its rail checks."""
    assets = assets or tuple(filter(None, [USDC.get(network)]))
    if url is not None and not assets:
        raise SettingError(
            f"{_PREFIX}{variable}: no token of {network} is known: give address:symbol:decimals of "
            "each"
        )
    return assets
