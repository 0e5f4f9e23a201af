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
    "MASQUES_INTAKE_BAD_SHARE_MAX",
)

_PREFIX: Final = "MASQUES_"
_PACKAGE_DIRECTORY: Final = Path(__file__).resolve().parent


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
        intake_bad_share_max: Share of bad rows, 0 to 1, above which the intake's check fails.
    """

    home: Path
    clickhouse_url: str = field(repr=False)
    clickhouse_cluster: str | None
    ledger_url: str | None
    ledger_chart: Path | None
    landing_url: str = field(repr=False)
    intake_bad_share_max: float


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
    return Settings(
        home=home,
        clickhouse_url=_text(values, "MASQUES_CLICKHOUSE_URL")
        or f"chdb://{quote(str(home / 'warehouse'))}",
        clickhouse_cluster=cluster,
        ledger_url=_text(values, "MASQUES_LEDGER_URL"),
        ledger_chart=chart,
        landing_url=_text(values, "MASQUES_LANDING_URL") or str(home / "landing"),
        intake_bad_share_max=_share(values, "MASQUES_INTAKE_BAD_SHARE_MAX", default=0.05),
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
