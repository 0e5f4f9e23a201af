"""Keeps where the Solana rail continues: how far it has read, and a walk that is not at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.rails.protocol import Cursor

VERSION: Final = 2


@dataclass
class Walk:
    """A walk through the lists of our accounts, from the newest signature back to the floor.

    A back-fill has more than one fetch reads; the place in each list is kept, so that nothing is
    listed twice.

    Attributes:
        to_slot: The slot that was final when the walk began: the next floor.
        pages: By account: the last two signatures of the last page, [before, expected]: the next
            page has to begin with the second one, or its node does not know the place. None when
            the account is done; an account without an entry begins at its newest signature.
    """

    to_slot: int
    pages: dict[str, list[str] | None] = field(default_factory=dict)


@dataclass
class Position:
    """The cursor.

    Attributes:
        floor: Final slot up to which everything was read; None before the first fetch.
        since_slot: First slot that was read.
        walk: The walk that is not at its end, None between two walks.
        done: Signatures that the next walk would list again, with their slots.
        waiting: Final signatures whose transaction or time the node does not answer yet: the slot,
            and the runs that asked for it.
        after: Id of the last open settlement that was looked at.
        ours: By token account the slot after which it is ours: one that was added to the settings
            is not before its balance was read. None when that is not known: all are.
        reread: After a rewind, the first and the last slot whose recorded payments are still to be
            compared with the cluster; None when all are.
    """

    floor: int | None = None
    since_slot: int | None = None
    walk: Walk | None = None
    done: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[int]] = field(default_factory=dict)
    after: str = ""
    ours: dict[str, int] | None = None
    reread: tuple[int, int] | None = None


def position_of(cursor: Cursor | None) -> Position:
    """Reads a cursor, also of version 1."""
    if cursor is None:
        return Position()
    floor = int(cursor["floor"])
    if cursor.get("v") != VERSION:  # its signatures have no slots: they are read once more
        return Position(floor=floor, since_slot=int(cursor.get("since_slot", floor)))
    walk: Mapping[str, Any] | None = cursor.get("walk")
    return Position(
        floor=floor,
        since_slot=int(cursor["since_slot"]),
        walk=Walk(int(walk["to_slot"]), dict(walk["pages"])) if walk else None,
        done=dict(cursor["done"]),
        waiting={key: list(value) for key, value in cursor["waiting"].items()},
        after=str(cursor["after"]),
        ours=dict(cursor["ours"]) if cursor.get("ours") else None,
        reread=(int(reread[0]), int(reread[1])) if (reread := cursor.get("reread")) else None,
    )


def cursor_of(at: Position) -> Cursor:
    """Returns a position as the rail's cursor."""
    return {
        "v": VERSION,
        "floor": at.floor,
        "since_slot": at.since_slot,
        "walk": {"to_slot": at.walk.to_slot, "pages": at.walk.pages} if at.walk else None,
        "done": at.done,
        "waiting": at.waiting,
        "after": at.after,
        "ours": at.ours,
        "reread": at.reread,
    }


def rewound(cursor: Cursor, slot: int) -> Cursor:
    """Returns a cursor that reads again from an earlier slot."""
    at = position_of(cursor)
    # A rewind before the one before it was compared keeps what is left of that.
    _, last = at.reread or (0, 0)
    kept = Position(
        floor=slot,
        since_slot=at.since_slot,
        waiting=at.waiting,
        ours=at.ours,
        reread=(slot, max(last, at.floor or 0)),
    )
    return cursor_of(kept)
