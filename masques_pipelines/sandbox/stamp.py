"""Stamps a warehouse as the sandbox's or with its ledger, and refuses one of the other kind.

Demo rows and real rows in one warehouse could not be told apart afterwards.
"""

import importlib.metadata
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from masques_pipelines.errors import PermanentError
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse

SANDBOX: Final = "sandbox"
PRODUCTION: Final = "production"
_EXISTS: Final = (
    "SELECT count() FROM system.tables WHERE database = 'masques_ops' AND name = 'warehouse_stamp'"
)
# The first one decides what the warehouse is, and the newest which ledger it was last seen with.
_STAMPS: Final = (
    "SELECT argMin(kind, (stamped_at, kind)), argMax(ledger, stamped_at), "
    "toString(min(stamped_at)), count() FROM masques_ops.warehouse_stamp"
)
# By the server's clock, and not beside the other kind: of two that stamp at once one is the first.
_WRITE: Final = (
    "INSERT INTO masques_ops.warehouse_stamp (kind, ledger, stamped_at, project_version) "
    "SELECT {kind:String}, {ledger:String}, now64(6, 'UTC'), {version:String} "
    "WHERE (SELECT countIf(kind != {kind:String}) FROM masques_ops.warehouse_stamp) = 0"
)
_FILLED_TABLE: Final = (
    "SELECT min(concat(database, '.', name)) FROM system.tables "
    "WHERE database = 'masques' AND total_rows > 0"
)


class StampError(PermanentError):
    """The warehouse is of the other kind."""


@dataclass(frozen=True)
class _Stamp:
    kind: str
    ledger: str
    since: str

    @property
    def text(self) -> str:
        if self.kind == SANDBOX:
            return f"stamped sandbox since {self.since}"
        return f"stamped as the copy of {self.ledger or 'real systems'} since {self.since}"


def check_stamp(warehouse: Warehouse, settings: Settings) -> None:
    """Refuses a warehouse of the other kind; writes nothing.

    Args:
        warehouse: Any state, also without any of our databases.
        settings: As `with_stand_ins` gave them.

    Raises:
        StampError: The settings are the sandbox's and the warehouse is not, or the reverse.
    """
    _checked(warehouse, settings)


def stamp_warehouse(warehouse: Warehouse, settings: Settings) -> None:
    """Checks the stamp, and writes it where there is none; call it before the first row.

    A warehouse without the stamp's table is left as it is: `masques migrate` makes the table and
    calls this again.

    Raises:
        StampError: As check_stamp.
    """
    stamp = _checked(warehouse, settings)
    ledger = _ledger_text(settings)
    if stamp is not None and (stamp.ledger or not ledger):
        return
    if not warehouse.scalar(_EXISTS):
        return
    warehouse.command(
        _WRITE,
        {
            "kind": _kind(settings),
            "ledger": ledger,
            "version": importlib.metadata.version("masques-pipelines"),
        },
    )
    # Another process may have been first, on a server.
    _checked(warehouse, settings)


def is_sandbox(warehouse: Warehouse) -> bool:
    """Returns whether the warehouse is stamped as the sandbox's."""
    stamp = _read(warehouse)
    return stamp is not None and stamp.kind == SANDBOX


def _checked(warehouse: Warehouse, settings: Settings) -> _Stamp | None:
    stamp = _read(warehouse)
    if stamp is None:
        filled = str(warehouse.scalar(_FILLED_TABLE) or "")
        if _kind(settings) == SANDBOX and filled:
            raise StampError(
                f"{warehouse.description} is not stamped, and {filled} has rows: the sandbox "
                "fills only a warehouse that is empty or stamped sandbox; give "
                "MASQUES_CLICKHOUSE_URL another one, or unset it"
            )
        return None
    if stamp.kind == _kind(settings):
        return stamp
    if stamp.kind == SANDBOX:
        raise StampError(
            f"{warehouse.description} is {stamp.text}, and these settings are of production: give "
            "MASQUES_CLICKHOUSE_URL an empty warehouse, or set MASQUES_SANDBOX=1 and no other "
            "system to look at the demo data"
        )
    raise StampError(
        f"{warehouse.description} is {stamp.text}, and these settings are of the sandbox: give "
        "MASQUES_CLICKHOUSE_URL an empty warehouse, or unset MASQUES_SANDBOX"
    )


def _read(warehouse: Warehouse) -> _Stamp | None:
    if not warehouse.scalar(_EXISTS):
        return None
    kind, ledger, since, count = warehouse.row(_STAMPS)
    return _Stamp(str(kind), str(ledger), str(since)[:19]) if count else None


def _kind(settings: Settings) -> str:
    return PRODUCTION if settings.sandbox_folder is None else SANDBOX


def _ledger_text(settings: Settings) -> str:
    """Names the ledger for people; masques_ops.ledger_binding is what identifies it."""
    if settings.sandbox_folder is not None or settings.ledger_url is None:
        return ""
    parts = urlsplit(settings.ledger_url)
    if parts.scheme == "capture":
        return f"capture://{parts.path}"
    cluster = parse_qs(parts.query).get("cluster_id", ["unknown"])[0]
    return f"{parts.scheme} cluster {cluster}"
