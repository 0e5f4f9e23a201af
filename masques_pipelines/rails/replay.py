"""Reads again what the rails rejected: lines, transactions, invoices and payments in quarantine.

Each goes through the code that read it first, and what is still rejected keeps its entry, with one
attempt more. Everything else is written like any other find, so a replay that was killed, or that
is started again, changes nothing more. The cursors stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from masques_pipelines import quarantine
from masques_pipelines.inventory.tables import SETTLEMENTS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.quarantine import Selection
from masques_pipelines.rails import catalog
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.descriptor import RailKey, RailPlace
from masques_pipelines.rails.endpoint import own_secrets
from masques_pipelines.rails.ingest import read_cursor, redacted, write_found
from masques_pipelines.rails.protocol import Rail, Rejected
from masques_pipelines.rails.redaction import Redactor
from masques_pipelines.rails.revisions import QUARANTINED, open_settlements
from masques_pipelines.rails.run import LEASE, LEASE_S, problem_of
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

# Entries of one step: what Python holds of them at a time.
PAGE_ROWS: Final = 5_000
# What follows a network in the source of a rejected item.
_SEPARATORS: Final = ("/", ":")


@dataclass
class RailReplay:
    """What a replay did on one rail.

    Attributes:
        rail: What the settings call the network or node.
        tried: Entries that were read again.
        closed: Entries that are no longer open.
        revisions: Rows of masques.settlements appended.
        problem: Why they could not be read, '' when they could.
    """

    rail: str
    tried: int = 0
    closed: int = 0
    revisions: int = 0
    problem: str = ""


def replay(
    warehouse: Warehouse, settings: Settings, *, rail: str = "", reason: str = ""
) -> list[RailReplay]:
    """Reads open entries of the rails again, and links what they settle.

    Args:
        warehouse: The target.
        settings: Where the rails are.
        rail: Only of the network or node of this name; '' for all.
        reason: Only this reason, or this kind of reasons; '' for all.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes settlements to the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse. The failure of a
            rail is in its result instead.
    """
    redact = own_secrets(settings)
    with (
        writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease,
        counted(warehouse, SETTLEMENTS),
    ):
        wanted = [each for each in catalog.places(settings) if rail in ("", each.name)]
        done = [_replay(warehouse, settings, each, reason, lease, redact) for each in wanted]
        lease.hold()
        link_settlements(warehouse)
    return done


def _replay(  # noqa: PLR0913, PLR0917 - what a replay was opened with
    warehouse: Warehouse,
    settings: Settings,
    place: RailPlace,
    reason: str,
    lease: Lease,
    redact: Redactor,
) -> RailReplay:
    done, key = RailReplay(place.name), place.key
    try:
        # A rail without a network that is off has rejected nothing.
        if not place.rejected_from:
            return done
        selection = Selection(QUARANTINED, reason, source_prefix=place.rejected_from)
        if quarantine.count(warehouse, selection) == 0:
            return done
        open_now = partial(open_settlements, warehouse, key.rail, key.network)
        with catalog.open_rail(settings, place, open_now) as opened:
            for page in _pages(warehouse, selection):
                lease.hold()
                _replay_page(warehouse, opened, key, page, redact, done)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rails are read
        done.problem = problem_of(error, redact)
    return done


def _pages(warehouse: Warehouse, selection: Selection) -> Iterator[list[Rejected]]:
    """Yields the open entries of a rail, page by page in the order of source and line."""
    after: tuple[str, int] = ("", 0)
    while rows := warehouse.rows(
        quarantine.selecting("quarantine/lines"),
        selection.parameters(
            first_line=quarantine.WHOLE_FILE,
            after_source=after[0],
            after_line=after[1],
            rows=PAGE_ROWS,
        ),
    ):
        after = (rows[-1][0], int(rows[-1][1]))
        named = len(selection.source_prefix)
        yield [
            Rejected(source, int(line_no), reason, bytes.fromhex(raw).decode("utf-8", "replace"))
            for source, line_no, reason, raw in rows
            if source[named : named + 1] in _SEPARATORS  # not another network that begins alike
        ]


def _replay_page(  # noqa: PLR0913, PLR0917 - what a replay was opened with
    warehouse: Warehouse,
    opened: Rail,
    key: RailKey,
    page: list[Rejected],
    redact: Redactor,
    done: RailReplay,
) -> None:
    cursor = read_cursor(warehouse, *key)
    found = redacted(opened.replay(page, cursor), redact)
    written = write_found(warehouse, found, key.network, now=datetime.now(UTC))
    still = {each.key for each in written.rejected}
    settled = [each.key for each in page if each.key not in still]
    quarantine.close_entries(warehouse, QUARANTINED, settled)
    done.tried += len(page)
    done.closed += len(settled)
    done.revisions += written.revisions
