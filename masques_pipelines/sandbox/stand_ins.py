"""Decides whether this is the sandbox or production, and gives the sandbox its stand-ins.

The entrance to this package for commands and for Dagster's resources. Beside it only `masques
demo`, `masques dev` and `masques sandbox`, which are about the world, know that there is one. Its
stand-ins for ledger, landing zone and rails are one made world.

*Real systems* are a ledger (tigerbeetle://, capture://), a ClickHouse URL of any scheme, a landing
zone and any rail. None is configured, and MASQUES_HOME never held one: this is the sandbox, with
everything in `$MASQUES_HOME/sandbox/`. One is configured: this is production, and whatever is not
configured is off, or an error that says what to set. Never is a part of the sandbox a default of
production: its invented rows could not be told from real ones.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from masques_pipelines.errors import PermanentError, SettingError
from masques_pipelines.rail_settings import RAIL_ENDPOINTS, RAILS_FILE, USDC, RailSettings
from masques_pipelines.sandbox.parties import PLACES, POLYGON, START, TREASURY
from masques_pipelines.sandbox.places import (
    LANDING,
    LEDGER,
    LOCK,
    WAREHOUSE,
    WORLD,
    check_version,
    is_world,
    locked,
)
from masques_pipelines.settings import (
    VARIABLES,
    Settings,
    read_settings,
)
from masques_pipelines.whole_file import whole_file

if TYPE_CHECKING:
    import httpx2

# What a home keeps that was once used with real systems.
MARK_NAME: Final = "production"
_FOLDER: Final = "sandbox"

_SANDBOX: Final = "MASQUES_SANDBOX"
_LEDGER: Final = "MASQUES_LEDGER_URL"
_CLICKHOUSE: Final = "MASQUES_CLICKHOUSE_URL"
_LANDING: Final = "MASQUES_LANDING_URL"
_SANDBOX_FORM: Final = "sandbox:///absolute/folder"
_REAL_SYSTEMS: Final[Mapping[str, str]] = {
    _LEDGER: "ledger",
    _CLICKHOUSE: "ClickHouse",
    _LANDING: "landing zone",
    RAILS_FILE: "rails",
    **{variable: rail for rail, variable in RAIL_ENDPOINTS.items()},
}
# What `masques demo` takes from the settings; the chart only when it belongs to no other ledger.
_KEPT_BY_DEMO: Final = ("MASQUES_HOME", "MASQUES_REPUTATION_MODEL", "MASQUES_INTAKE_BAD_SHARE_MAX")
_CHART: Final = "MASQUES_LEDGER_CHART"


def with_stand_ins(settings: Settings) -> Settings:
    """Returns the settings of production as they are, those of the sandbox with its stand-ins.

    Nothing is written; see `prepare`.

    Raises:
        SettingError: The settings contradict each other, or those of a production home are lost.
    """
    named = _sandbox_folder(settings)
    real = _real_systems(settings)
    if settings.sandbox is False:
        _check_production_asked(real, named)
        return settings
    if settings.sandbox or named is not None:
        _check_sandbox_asked(settings, real)
    elif real:
        return settings
    else:
        _check_home(settings.home)
    return _sandbox(settings, named or settings.home / _FOLDER)


def mode_text(settings: Settings) -> str:
    """Returns one line that says whether this is the sandbox; takes what `with_stand_ins` gave."""
    if settings.sandbox_folder is None:
        return f"production: {_kinds(_real_systems(settings))}"
    reason = (
        "as the settings ask"
        if settings.sandbox or _LEDGER in settings.given
        else "since no real system is configured"
    )
    return f"this is the sandbox, {reason}: demo data in {settings.sandbox_folder}"


def prepare(settings: Settings) -> None:
    """Sets up the home of production, or the sandbox's folder; call it before anything is opened.

    A home of production is marked, and has a landing zone unless MASQUES_LANDING_URL names one:
    that one must be there already, since a mount that is missing is no empty folder. A second call
    changes nothing.

    Raises:
        PermanentError: The sandbox cannot be written, or its world is of another version.
    """
    if settings.sandbox_folder is None:
        _mark(settings)
        _make_landing(settings)
        return
    try:
        settings.sandbox_folder.mkdir(parents=True, exist_ok=True)
        (settings.sandbox_folder / LOCK).touch()
    except OSError as error:
        raise _unwritable(settings.sandbox_folder, error) from error
    check_version(settings.sandbox_folder)


def prepare_sources(settings: Settings) -> str:
    """Prepares what ledger, landing zone and rails are read from: a sandbox has a world then.

    Returns:
        A line about the world; of production an empty one.

    Raises:
        PermanentError: The sandbox cannot be written, or holds what is no world of today's.
    """
    prepare(settings)
    folder = settings.sandbox_folder
    if folder is None:
        return ""
    try:
        with locked(folder):
            if is_world(folder):
                return f"world      {folder / WORLD}"
            _check_no_world(folder)
            # It takes longer to load than most commands need.
            from masques_pipelines.sandbox.world.demo import make_demo_world  # noqa: PLC0415

            return make_demo_world(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def ledger_url(settings: Settings) -> str:
    """Returns the URL of the ledger.

    Raises:
        SettingError: Production without a ledger.
    """
    if settings.ledger_url is None:
        raise SettingError(
            f"{_LEDGER}: it is not set, so there is no ledger to read: give tigerbeetle://… or "
            "capture://…, as in .env.example; `masques demo` shows the project without a ledger"
        )
    return settings.ledger_url


def demo_environment(environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns the variables of a demo, and the names of those with a value that it ignores.

    Args:
        environ: The environment, `.env` included.
    """
    given = [name for name in VARIABLES if environ.get(name, "").strip()]
    kept = {*_KEPT_BY_DEMO, *(() if _LEDGER in given else (_CHART,))}
    variables = {name: environ.get(name, "") if name in kept else "" for name in VARIABLES}
    variables[_SANDBOX] = "1"
    ignored = [name for name in given if environ[name].strip() != variables[name].strip()]
    return variables, tuple(ignored)


def _real_systems(settings: Settings) -> tuple[str, ...]:
    """Returns the variables that name a real system."""
    return tuple(
        name
        for name in _REAL_SYSTEMS
        if name in settings.given and not (name == _LEDGER and _is_sandbox_url(settings))
    )


def _is_sandbox_url(settings: Settings) -> bool:
    return settings.ledger_url is not None and settings.ledger_url.startswith("sandbox://")


def _sandbox_folder(settings: Settings) -> Path | None:
    """Returns the folder that a sandbox:// URL names, None when the ledger is something else."""
    if _LEDGER not in settings.given or not _is_sandbox_url(settings):
        return None
    parts = urlsplit(settings.ledger_url or "")
    folder = Path(unquote(parts.path))
    if parts.netloc or parts.query or parts.fragment or not folder.is_absolute():
        raise SettingError(f"{_LEDGER}: write a sandbox as {_SANDBOX_FORM}, with three slashes")
    if folder == Path("/"):
        raise SettingError(f"{_LEDGER}: the sandbox needs a folder, as in {_SANDBOX_FORM}")
    return folder


def _check_production_asked(real: tuple[str, ...], named: Path | None) -> None:
    if named is not None:
        raise SettingError(
            f"{_SANDBOX}: it is 0, and {_LEDGER} names a sandbox: unset one of the two"
        )
    if not real:
        raise SettingError(
            f"{_SANDBOX}: it is 0, and no real system is configured: set {_LEDGER} or another of "
            f"{', '.join(name for name in _REAL_SYSTEMS if name != _LEDGER)}, or unset {_SANDBOX}"
        )


def _check_sandbox_asked(settings: Settings, real: tuple[str, ...]) -> None:
    allowed = (_CLICKHOUSE,) if settings.sandbox else ()
    wrong = [name for name in real if name not in allowed]
    if not wrong:
        return
    listed = " and ".join(wrong)
    if settings.sandbox:
        raise SettingError(
            f"{_SANDBOX}: it is 1, and {listed} is set: a sandbox reads no real system; unset "
            f"{listed} to fill the sandbox, or {_SANDBOX} for production"
        )
    fill = f"; {_SANDBOX}=1 fills that warehouse with the sandbox" if wrong == [_CLICKHOUSE] else ""
    raise SettingError(
        f"{_LEDGER}: it names a sandbox, and {listed} is set: a sandbox reads no real system; "
        f"unset one of them{fill}"
    )


def _check_home(home: Path) -> None:
    """Raises SettingError when a home without any real system configured once held one."""
    mark = home / MARK_NAME
    found = _mark_text(mark) if mark.exists() else None
    for name in (WAREHOUSE, LANDING):
        if found is None and (home / name).exists():
            found = f"{home / name} is not the sandbox's"
    if found is not None:
        raise SettingError(
            f"MASQUES_HOME: {home} was used with real systems ({found}), and none is configured "
            f"now: set {_LEDGER}, {_CLICKHOUSE} or what else was set (is .env there?), or set "
            f"{_SANDBOX}=1 for the sandbox, or give MASQUES_HOME another folder"
        )


def _mark_text(mark: Path) -> str:
    try:
        kept = json.loads(mark.read_text(encoding="utf-8"))
        return f"{', '.join(kept['systems'])}, first at {kept['first_used_at']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{mark} says so"


def _mark(settings: Settings) -> None:
    """Writes that this home is used with real systems, unless it is written."""
    mark = settings.home / MARK_NAME
    if mark.exists():
        return
    content = {
        "first_used_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "systems": [_REAL_SYSTEMS[name] for name in _real_systems(settings)],
    }
    # A home that cannot be written cannot hold a sandbox either, so it needs no mark.
    with contextlib.suppress(OSError):
        settings.home.mkdir(parents=True, exist_ok=True)
        with whole_file(mark) as file:
            file.write(f"{json.dumps(content)}\n".encode())


def _make_landing(settings: Settings) -> None:
    """Makes the landing zone of the home, unless the settings name another."""
    if _LANDING in settings.given:
        return
    # Whoever reads a zone that could not be made says so.
    with contextlib.suppress(OSError):
        Path(settings.landing_url).mkdir(parents=True, exist_ok=True)


def _kinds(real: tuple[str, ...]) -> str:
    return ", ".join(f"{_REAL_SYSTEMS[name]} ({name})" for name in real)


def _sandbox(settings: Settings, folder: Path) -> Settings:
    # The nodes have the networks and tokens of the defaults; those of .env are others.
    plain = read_settings({})
    has_warehouse = _CLICKHOUSE in settings.given
    return replace(
        settings,
        clickhouse_url=(
            settings.clickhouse_url if has_warehouse else f"chdb://{quote(str(folder / WAREHOUSE))}"
        ),
        ledger_url=f"sandbox://{quote(str(folder / LEDGER))}",
        landing_url=str(folder / LANDING),
        rails=tuple(_computed(each, folder) for each in _places(plain)),
        sandbox_folder=folder,
    )


def _unwritable(folder: Path, error: OSError) -> PermanentError:
    return PermanentError(
        f"{folder}: the sandbox cannot be written there ({error.strerror or error}): make "
        "room, or give MASQUES_HOME a folder that this user may write"
    )


def _check_no_world(folder: Path) -> None:
    for name in (LEDGER, LANDING):
        if (folder / name).exists():
            raise PermanentError(
                f"{folder / name}: it is there, and the sandbox holds no world: make one in its "
                "place with `masques sandbox new`"
            )


@dataclass(frozen=True)
class NodeOf:
    """Opens a rail's node: what `RailSettings.transport` is in the sandbox."""

    root: Path
    rail: str

    def __call__(self) -> "httpx2.BaseTransport":
        """Returns the node.

        Raises:
            PermanentError: The world is missing or damaged.
        """
        # It takes longer to load than most commands need.
        from masques_pipelines.sandbox.world import nodes  # noqa: PLC0415

        return nodes.open_node(self.root, self.rail)


def _places(plain: Settings) -> Iterator[RailSettings]:
    """Yields the networks of a world, with the tokens of the defaults."""
    by_kind = {each.kind: each for each in plain.rails}
    for name, kind in PLACES.items():
        of = by_kind[kind]
        if name == kind:
            yield of
        else:
            yield replace(of, name=name, network=POLYGON, assets=(USDC[POLYGON],))


def _computed(plain: RailSettings, folder: Path) -> RailSettings:
    return replace(
        plain,
        url=f"sandbox://{plain.name}",
        transport=NodeOf(folder, plain.name),
        treasury=TREASURY.get(plain.kind, ()),
        start=START.get(plain.kind),
    )
