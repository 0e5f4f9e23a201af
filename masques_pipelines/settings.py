"""The settings of the project: what each variable means, its default, and what a bad value is told.

Here: the one place that reads the environment and `.env`, when a run or a command asks for it.
Not here: use of a setting (opening a warehouse or a ledger), and any read at import time.
A re-run reads the environment again: nothing is remembered between calls.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dotenv import dotenv_values

from masques_pipelines.errors import SettingError

VARIABLES: Final = (
    "MASQUES_HOME",
    "MASQUES_CLICKHOUSE_URL",
    "MASQUES_CLICKHOUSE_CLUSTER",
    "MASQUES_LEDGER_URL",
    "MASQUES_LEDGER_CHART",
    "MASQUES_LANDING_URL",
    "MASQUES_BASE_RPC_URL",
    "MASQUES_BASE_BEARER_FILE",
    "MASQUES_BASE_NETWORK",
    "MASQUES_BASE_TREASURY",
    "MASQUES_BASE_ASSETS",
    "MASQUES_BASE_FINALITY",
    "MASQUES_BASE_START_BLOCK",
    "MASQUES_SOLANA_RPC_URL",
    "MASQUES_SOLANA_BEARER_FILE",
    "MASQUES_SOLANA_NETWORK",
    "MASQUES_SOLANA_TREASURY",
    "MASQUES_SOLANA_MINTS",
    "MASQUES_SOLANA_FINALITY",
    "MASQUES_SOLANA_START_SLOT",
    "MASQUES_LND_URL",
    "MASQUES_LND_MACAROON_FILE",
    "MASQUES_LND_TLS_CERT_FILE",
    "MASQUES_LND_NETWORK",
    "MASQUES_REPUTATION_MODEL",
    "MASQUES_INTAKE_BAD_SHARE_MAX",
)

_PREFIX: Final = "MASQUES_"
_PACKAGE_DIRECTORY: Final = Path(__file__).resolve().parent


# USDC as its issuer lists it; settlements of other tokens are not read.
_BASE_USDC: Final = {
    "eip155:8453": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913:USDC:6",
    "eip155:84532": "0x036cbd53842c5426634e7929541ec2318f3dcf7e:USDC:6",
}
_SOLANA_USDC: Final = {
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp": (
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v:USDC:6"
    ),
    "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1": (
        "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU:USDC:6"
    ),
}
_LIGHTNING_NETWORKS: Final = ("mainnet", "testnet", "signet", "regtest")


@dataclass(frozen=True)
class RailSettings:
    """Where a rail is read and what of it is ours.

    Attributes:
        url: The node, or None: the rail is off. Providers' URLs hold keys, so it is left out of
            the representation.
        network: CAIP-2 id of the chain; for Lightning mainnet, testnet, signet or regtest.
        treasury: Our addresses; of Lightning the node is the treasury.
        assets: `address:symbol:decimals` of each token that counts as money.
        finality: The rail's own word for what decides.
        start: First block or slot to read, or None: from now on.
        credential_file: File of the bearer token, or of the macaroon.
        tls_cert_file: The node's certificate, when no authority signed it.
    """

    url: str | None = field(repr=False)
    network: str
    treasury: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    finality: str = ""
    start: int | None = None
    credential_file: Path | None = None
    tls_cert_file: Path | None = None


@dataclass(frozen=True)
class Settings:
    """What a run needs to know of its surroundings.

    Attributes:
        home: Folder of everything the pipeline writes locally (MASQUES_HOME).
        clickhouse_url: `chdb:///abs/path` or `http(s)://user:password@host:port`; holds a password,
            so it is left out of the representation.
        clickhouse_cluster: Name of the ClickHouse cluster, or None for a single server: with a name
            migrations run their cluster form.
        ledger_url: Where the ledger is read from, or None: the packaged capture, laid down in home.
        ledger_chart: The chart of ledgers and codes, or None: the packaged one.
        landing_url: Where producers drop files.
        base: The rail Base (any chain of the OP stack).
        solana: The rail Solana.
        lightning: The rail Lightning, an LND node.
        reputation_model: The parameters of the reputation model, or None: the packaged ones.
        intake_bad_share_max: Share of bad rows, 0 to 1, above which the intake's check fails.
    """

    home: Path
    clickhouse_url: str = field(repr=False)
    clickhouse_cluster: str | None
    ledger_url: str | None
    ledger_chart: Path | None
    landing_url: str = field(repr=False)
    intake_bad_share_max: float
    base: RailSettings
    solana: RailSettings
    lightning: RailSettings
    reputation_model: Path | None = None


def project_root() -> Path:
    """Returns the checkout that this package runs from, or the working folder of an installed one.

    `.env`, `dagster.yaml` and the default MASQUES_HOME are looked for there, so that a command
    means the same from whichever folder it is called.
    """
    checkout = _PACKAGE_DIRECTORY.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "sql").is_dir():
        return checkout
    return Path.cwd()


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment, and from `.env` where the environment is silent.

    Args:
        environ: Read instead of the process's environment (and then `.env` is not looked at).

    Raises:
        SettingError: A value cannot be used, or a MASQUES_ variable is not known (a misspelt name
            would otherwise be ignored and a default used in its place).
    """
    values = _environment() if environ is None else environ
    _refuse_unknown(values)
    home = _path(values, "MASQUES_HOME") or project_root() / "var"
    cluster = _text(values, "MASQUES_CLICKHOUSE_CLUSTER")
    if cluster is not None and not cluster.replace("_", "").replace("-", "").isalnum():
        raise SettingError(
            f"MASQUES_CLICKHOUSE_CLUSTER: {cluster!r} is no cluster name: "
            "use letters, digits, '_' and '-', as in system.clusters"
        )
    chart = _path(values, "MASQUES_LEDGER_CHART")
    if chart is not None and not chart.is_file():
        raise SettingError(
            f"MASQUES_LEDGER_CHART: {chart} is not a file: "
            "give the path of a chart.yaml, or unset it to use the packaged chart"
        )
    model = _path(values, "MASQUES_REPUTATION_MODEL")
    if model is not None and not model.is_file():
        raise SettingError(
            f"MASQUES_REPUTATION_MODEL: {model} is not a file: "
            "give the path of a model.yaml, or unset it to use the packaged model"
        )
    return Settings(
        home=home,
        clickhouse_url=_text(values, "MASQUES_CLICKHOUSE_URL")
        or f"chdb://{quote(str(home / 'warehouse'))}",
        clickhouse_cluster=cluster,
        ledger_url=_text(values, "MASQUES_LEDGER_URL"),
        ledger_chart=chart,
        landing_url=_text(values, "MASQUES_LANDING_URL") or str(home / "landing"),
        base=_chain_settings(
            values,
            "MASQUES_BASE",
            network="eip155:8453",
            assets=("MASQUES_BASE_ASSETS", _BASE_USDC),
            finalities=("finalized", "safe"),
            start="MASQUES_BASE_START_BLOCK",
        ),
        solana=_chain_settings(
            values,
            "MASQUES_SOLANA",
            network="solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
            assets=("MASQUES_SOLANA_MINTS", _SOLANA_USDC),
            finalities=("finalized", "confirmed"),
            start="MASQUES_SOLANA_START_SLOT",
        ),
        lightning=RailSettings(
            url=_text(values, "MASQUES_LND_URL"),
            network=_one_of(values, "MASQUES_LND_NETWORK", _LIGHTNING_NETWORKS),
            credential_file=_file(values, "MASQUES_LND_MACAROON_FILE"),
            tls_cert_file=_file(values, "MASQUES_LND_TLS_CERT_FILE"),
        ),
        reputation_model=model,
        intake_bad_share_max=_share(values, "MASQUES_INTAKE_BAD_SHARE_MAX", default=0.05),
    )


def _chain_settings(  # noqa: PLR0913 - what differs between two chains, by name
    values: Mapping[str, str],
    prefix: str,
    *,
    network: str,
    assets: tuple[str, Mapping[str, str]],
    finalities: tuple[str, ...],
    start: str,
) -> RailSettings:
    """Reads the settings of a chain; what a token or address is, its rail checks."""
    url = _text(values, f"{prefix}_RPC_URL")
    known = _text(values, f"{prefix}_NETWORK") or network
    treasury = _list(values, f"{prefix}_TREASURY")
    if url is not None and not treasury:
        raise SettingError(
            f"{prefix}_TREASURY: it is needed with {prefix}_RPC_URL: "
            "give the addresses that payments come to, separated by commas"
        )
    asset_variable, defaults = assets
    listed = _list(values, asset_variable) or tuple(filter(None, [defaults.get(known)]))
    if url is not None and not listed:
        raise SettingError(
            f"{asset_variable}: no token of {known} is known: give address:symbol:decimals of each"
        )
    start_text = _text(values, start)
    if start_text is not None and not start_text.isdigit():
        raise SettingError(f"{start}: {start_text!r} is no number: give a height, or unset it")
    return RailSettings(
        url=url,
        network=known,
        treasury=treasury,
        assets=listed,
        finality=_one_of(values, f"{prefix}_FINALITY", finalities),
        start=None if start_text is None else int(start_text),
        credential_file=_file(values, f"{prefix}_BEARER_FILE"),
    )


def _environment() -> dict[str, str]:
    from_file = dotenv_values(project_root() / ".env")
    known = {name: value for name, value in from_file.items() if value is not None}
    return {**known, **os.environ}


def _refuse_unknown(values: Mapping[str, str]) -> None:
    for name in sorted(values):
        if name.startswith(_PREFIX) and name not in VARIABLES:
            raise SettingError(
                f"{name}: there is no such setting; known are {', '.join(VARIABLES)}"
            )


def _text(values: Mapping[str, str], name: str) -> str | None:
    """Returns the value, or None when it is unset or blank (a blank line in .env means unset)."""
    return values.get(name, "").strip() or None


def _share(values: Mapping[str, str], name: str, *, default: float) -> float:
    text = _text(values, name)
    try:
        share = default if text is None else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(f"{name}: {text!r} is no share: give a number from 0 to 1, as in 0.05")
    return share


def _path(values: Mapping[str, str], name: str) -> Path | None:
    text = _text(values, name)
    if text is None:
        return None
    path = Path(text).expanduser()
    return path if path.is_absolute() else project_root() / path


def _list(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in (_text(values, name) or "").split(",") if part.strip())


def _one_of(values: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """Returns the value, which has to be one of the known ones; the first is the default."""
    text = _text(values, name) or known[0]
    if text not in known:
        raise SettingError(f"{name}: {text!r} is not known: use {' or '.join(known)}")
    return text


def _file(values: Mapping[str, str], name: str) -> Path | None:
    path = _path(values, name)
    if path is not None and not path.is_file():
        raise SettingError(f"{name}: {path} is not a file that can be read")
    return path
