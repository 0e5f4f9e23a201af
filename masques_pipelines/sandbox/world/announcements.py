"""Writes what the gate and the payout service say of a world's payments: lines of the journal."""

from collections.abc import Iterator

import numpy as np

from masques_pipelines.sandbox.journal import Announcement, line_from, payment_facts
from masques_pipelines.sandbox.world.payments import Wallets, facts
from masques_pipelines.sandbox.world.shape import ANSWERS, EVENTS, SECOND, Rows, place_of
from masques_pipelines.sandbox.world.tables import id_texts


def journal_lines(
    wallets: Wallets, seed: int, lines: Rows, named: Rows, payments: Rows
) -> Iterator[str]:
    """Yields lines of the journal, with their line breaks.

    Args:
        wallets: Of the parties.
        seed: Of the nodes, whose hashes the lines name.
        lines: Rows of LINE.
        named: Transfers that they name.
        payments: Each payment that a line is about, and others.
    """
    wanted = np.unique(lines[["rail", "number"]])
    asked = payments[np.isin(payments[["rail", "number"]], wanted)]
    keys = asked[["rail", "number"]].tolist()
    known = {
        key: (place, payment, payment_facts(place, payment, seed))
        for key, is_on_polygon, payment in zip(
            keys, asked["polygon"].tolist(), facts(wallets, asked), strict=True
        )
        for place in [place_of(key[0], is_on_polygon=is_on_polygon)]
    }
    ids = id_texts(named["transfer"])
    for t, rail, number, event, answer, latency_ms, first, count in lines.tolist():
        place, payment, named_facts = known[rail, number]
        said = Announcement(
            rail=place,
            payment=payment,
            event=EVENTS[event],
            at_s=t / SECOND,
            answer=ANSWERS[answer],
            transaction_ids=tuple(ids[first : first + count]),
            latency_ms=latency_ms,
        )
        yield line_from(said, named_facts, seed)
