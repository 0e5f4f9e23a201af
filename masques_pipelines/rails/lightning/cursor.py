"""Keeps where the Lightning rail continues: indices of LND, never payment hashes."""

from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.rails.protocol import Cursor

VERSION: Final = 2


@dataclass
class Position:
    """The cursor.

    Attributes:
        pubkey: The node that the indices are of.
        added: Index of the newest invoice that was read.
        low: The lists begin after this index: before it nothing is open but `old_open`.
        old_open: Indices of the oldest open invoices.
        listed: Index that a list which is not at its end has reached.
        is_listing: Whether there is such a list.
        open_now: Indices that were open when it began.
        paid: Index of the newest outgoing payment that was read.
        in_flight: Indices of the outgoing payments that have not ended.
        forwarded: How many forwarded payments were added up.
        forward_fees_msat: Their fees.
        after: Id of the last open settlement that was looked at.
    """

    pubkey: str = ""
    added: int = 0
    low: int = 0
    old_open: list[int] = field(default_factory=list)
    listed: int = 0
    is_listing: bool = False
    open_now: list[int] = field(default_factory=list)
    paid: int = 0
    in_flight: list[int] = field(default_factory=list)
    forwarded: int = 0
    forward_fees_msat: int = 0
    after: str = ""


def position_of(cursor: Cursor | None) -> Position:
    """Reads a cursor; one of version 1 has hashes of open invoices: all is listed once more."""
    if cursor is None:
        return Position()
    if cursor.get("v") != VERSION:
        return Position(
            added=int(cursor["added"]),
            paid=int(cursor["paid"]),
            in_flight=list(cursor["in_flight"]),
        )
    kept = {name: value for name, value in cursor.items() if name != "v"}
    return Position(**kept)


def cursor_of(at: Position) -> Cursor:
    """Returns a position as the rail's cursor."""
    return {"v": VERSION, **vars(at)}


def rewound(cursor: Cursor, index: int) -> Cursor:
    """Returns a cursor that reads again from an earlier invoice, and all outgoing payments."""
    at = position_of(cursor)
    at.added, at.low, at.paid = index, min(at.low, index), 0
    at.old_open = [each for each in at.old_open if each <= index]
    at.is_listing, at.listed, at.open_now = False, 0, []
    return cursor_of(at)
