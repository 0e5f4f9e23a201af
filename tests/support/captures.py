"""Captures and records made by hand, and the sums that a ledger's events must give.

Here: records from a few named fields, a capture folder around them, and folding events to balances.
Not here: anything that reads a server.
A re-run does nothing: the functions are pure, but for the folder that write_folder makes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    TRANSFER_DTYPE,
    Records,
    u128,
)
from masques_pipelines.zstd import compress, decompress

META: dict[str, Any] = {"cluster": "7", "release": "0.17.9"}

# debits_pending, debits_posted, credits_pending, credits_posted
Balances = dict[int, tuple[int, int, int, int]]


def made(dtype: np.dtype[Any], rows: Sequence[Mapping[str, int]]) -> Records:
    """Returns records with these fields; all others are zero."""
    records = np.zeros(len(rows), dtype=dtype)
    for index, row in enumerate(rows):
        for name, value in row.items():
            if records.dtype[name].names:
                records[name][index] = (value % 2**64, value >> 64)
            else:
                records[name][index] = value
    return records


def events_at(*times_ns: int) -> Records:
    """Returns single-phase events of nothing, at these times."""
    return made(CHANGE_EVENT_DTYPE, [{"timestamp": t, "transfer_timestamp": t} for t in times_ns])


def accounts_at(*times_ns: int) -> Records:
    """Returns accounts created at these times."""
    return made(ACCOUNT_DTYPE, [{"id": t, "timestamp": t} for t in times_ns])


def transfers_at(*times_ns: int) -> Records:
    """Returns transfers of nothing, at these times."""
    return made(TRANSFER_DTYPE, [{"timestamp": t} for t in times_ns])


def write_folder(
    folder: Path,
    *,
    events: Records,
    accounts: Records,
    transfers: Records | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a capture, compressed, and returns its folder."""
    folder.mkdir(parents=True)
    files = {"change_events": events, "accounts": accounts, "transfers": transfers}
    for name, records in files.items():
        if records is not None:
            (folder / f"{name}.bin.zst").write_bytes(compress(records.tobytes()))
    (folder / "meta.json").write_text(json.dumps({**META, **(meta or {})}), encoding="utf-8")
    return folder


def tiled(events: Records, tiles: int) -> Records:
    """Returns a longer ledger of the same events, again and again with other ids and later times.

    A tile starts 1.06 s after the one before. The business of the small capture takes 0.13 s and
    its holds expire after 1 to 3 s: so they do amid the business of the next three tiles.
    """
    parts = [moved(events, number=n, shift_ns=n * 1_060_000_000) for n in range(tiles)]
    merged = np.concatenate(parts)
    return merged[np.argsort(merged["timestamp"])]


def moved(events: Records, *, number: int, shift_ns: int) -> Records:
    """Returns the events so much later, with transfer ids of their own for each number."""
    part = events.copy()
    for name in ("timestamp", "transfer_timestamp"):
        part[name] += np.uint64(shift_ns)
    part["transfer_id"]["high"] += np.uint64(number)
    is_pending = part["transfer_pending_id"]["low"] != 0
    part["transfer_pending_id"]["high"] += np.uint64(number) * is_pending
    return part


def plain_bytes(path: Path) -> bytes:
    """Returns what a one-frame or many-frame zst file holds."""
    return decompress(path.read_bytes())


def folded(events: Records, *, until_ns: int | None = None) -> Balances:
    """Sums events from nothing to each account's balances, up to and with that time."""
    sums: dict[int, list[int]] = {}
    held: dict[int, int] = {}
    columns = zip(
        events["timestamp"].tolist(),
        events["type"].tolist(),
        u128(events, "transfer_id"),
        u128(events, "transfer_pending_id"),
        u128(events, "transfer_amount"),
        u128(events, "debit_account_id"),
        u128(events, "credit_account_id"),
        strict=True,
    )
    for time_ns, kind, transfer_id, pending_id, amount, debit_id, credit_id in columns:
        if until_ns is not None and time_ns > until_ns:
            break
        if kind == 1:
            held[transfer_id] = amount
        # A post may take less than was held; all that was held is let go.
        pending, posted = {
            0: (0, amount),
            1: (amount, 0),
            2: (-held.get(pending_id, 0), amount),
            3: (-amount, 0),
            4: (-amount, 0),
        }[kind]
        for account_id, column in ((debit_id, 0), (credit_id, 2)):
            account = sums.setdefault(account_id, [0, 0, 0, 0])
            account[column] += pending
            account[column + 1] += posted
    return {account_id: (s[0], s[1], s[2], s[3]) for account_id, s in sums.items()}


def balances_of(accounts: Records) -> Balances:
    """Returns the balances that the account records themselves say."""
    names = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
    columns = [u128(accounts, name) for name in names]
    rows = zip(*columns, strict=True)
    return {id_: (a, b, c, d) for id_, (a, b, c, d) in zip(u128(accounts, "id"), rows, strict=True)}


def without_unused(balances: Balances) -> Balances:
    """Leaves out accounts that nothing ever happened to: no event shows them."""
    return {account_id: balance for account_id, balance in balances.items() if any(balance)}
