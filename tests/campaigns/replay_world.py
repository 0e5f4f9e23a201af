"""Replays a made world on a real TigerBeetle server: every field but the clocks must be equal.

`TIGERBEETLE_BIN=… python -m tests.campaigns.replay_world --seed 1 --size 100000` makes days of a
world until it has so many transfers, creates its accounts and transfers on a new server, and
compares each change event and account with the world's own. A server's clock is real, so a hold
that expires in the world is voided in the replay; of these all but what names the void is compared.
At the end holds of a second expire on the server, and their events are compared with the world's.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tigerbeetle as tb

from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    EVENT_TYPE_VOIDED,
    Records,
    records_of,
    transfers_of,
)
from masques_pipelines.sandbox.world.day import next_day
from masques_pipelines.sandbox.world.population import Population
from masques_pipelines.sandbox.world.records import accounts, change_events
from masques_pipelines.sandbox.world.shape import DAY, LINKED, SECOND, shape_of
from masques_pipelines.sandbox.world.state import first_state
from tests.support.tigerbeetle_server import TigerBeetleServer, binary_or_skip, running_server

BATCH = 200
EXPIRIES = 40
START = 1_790_000_000 * SECOND // DAY * DAY
CLOCKS = ("timestamp", "transfer_timestamp", "debit_account_timestamp", "credit_account_timestamp")
# What a void has instead of an expiry.
OF_THE_END = (
    "transfer_id", "transfer_pending_id", "transfer_flags", "transfer_timeout", "type",
)  # fmt: skip


def made_world(seed: int, size: int) -> tuple[Records, Records]:
    """Returns the change events of a world with so many transfers, and its accounts at the end."""
    people = Population(shape_of(seed, START, 0.5 if size > 10_000 else 0.05))
    state, events, count = first_state(people), [], 0
    while count < size:
        events.append(change_events(people, next_day(people, state)))
        count += int((events[-1]["type"] != EVENT_TYPE_EXPIRED).sum())
    return np.concatenate(events), accounts(people, state.balances)


def write(client: tb.ClientSync, events: Records, created: Records) -> None:
    """Creates the accounts and transfers; an expiry becomes the void of its hold."""
    made = [
        tb.Account(
            id=_number(row["id"]),
            user_data_128=_number(row["user_data_128"]),
            ledger=int(row["ledger"]),
            code=int(row["code"]),
            flags=tb.AccountFlags(int(row["flags"])),
        )
        for row in created
    ]
    for start in range(0, len(made), BATCH):
        _all_taken(client.create_accounts(made[start : start + BATCH]))
    batch: list[tb.Transfer] = []
    for row in transfers_as_replayed(events):
        batch.append(_transfer(row))
        # A linked chain stays in one batch.
        if len(batch) >= BATCH and not int(row["flags"]) & LINKED:
            _all_taken(client.create_transfers(batch))
            batch = []
    _all_taken(client.create_transfers(batch))


def transfers_as_replayed(events: Records) -> Records:
    """Returns the transfers that make these events, expiries as voids with ids of their own."""
    made = transfers_of(events)
    expired = events["type"] == EVENT_TYPE_EXPIRED
    made["pending_id"][expired] = made["id"][expired]
    made["id"]["high"][expired] ^= np.uint64(1 << 40)
    made["flags"][expired], made["timeout"][expired] = 8, 0
    return made


def differences(events: Records, found: Records) -> list[str]:
    """Returns the fields in which the server's events differ from the world's."""
    expired = events["type"] == EVENT_TYPE_EXPIRED
    names = [name for name in CHANGE_EVENT_DTYPE.names or () if name not in CLOCKS]
    wrong = [
        f"{name}: {int((events[name] != found[name])[~expired].sum())} differ"
        for name in names
        if name != "reserved" and (events[name] != found[name])[~expired].any()
    ]
    wrong += [
        f"{name} of expiries differs"
        for name in names
        if name not in (*OF_THE_END, "reserved") and (events[name] != found[name])[expired].any()
    ]
    if (found["type"][expired] != EVENT_TYPE_VOIDED).any():
        wrong.append("an expiry is no void in the replay")
    return wrong


def expire_on_server(client: tb.ClientSync, server: TigerBeetleServer, world: Records) -> int:
    """Lets holds expire; returns how many did, with the fields that the world gives expiries."""
    hold = world[world["type"] == EVENT_TYPE_EXPIRED][0]
    payer = world[world["type"] == 0][0]  # the first deposit: from an account without limit
    holds = [
        tb.Transfer(
            id=(7 << 100) + number,
            debit_account_id=_number(payer["debit_account_id"]),
            credit_account_id=_number(payer["credit_account_id"]),
            amount=number,
            timeout=1,
            ledger=int(payer["ledger"]),
            code=int(hold["transfer_code"]),
            flags=tb.TransferFlags.PENDING,
        )
        for number in range(1, EXPIRIES + 1)
    ]
    _all_taken(client.create_transfers(holds))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        events = read_events(server)
        ended = events[events["type"] == EVENT_TYPE_EXPIRED]
        if len(ended) == EXPIRIES:
            assert sorted(_number(each) for each in ended["transfer_id"]) == [h.id for h in holds]
            assert set(ended["transfer_flags"].tolist()) == {int(hold["transfer_flags"])}
            assert set(ended["transfer_timeout"].tolist()) == {1}
            assert not ended["transfer_pending_id"]["low"].any()
            assert not hold["transfer_pending_id"]["low"]
            assert (ended["transfer_timestamp"] < ended["timestamp"]).all()
            assert hold["transfer_timestamp"] < hold["timestamp"]
            return EXPIRIES
        time.sleep(0.2)
    raise AssertionError("the holds did not expire within a minute")


def read_events(server: TigerBeetleServer) -> Records:
    pages, at = [np.empty(0, CHANGE_EVENT_DTYPE)], 0
    with open_ledger(server.url) as source:
        while data := source.change_events(at).data:
            pages.append(records_of(data, CHANGE_EVENT_DTYPE, origin="page"))
            at = int(pages[-1]["timestamp"][-1]) + 1
    return np.concatenate(pages)


def read_accounts(server: TigerBeetleServer) -> Records:
    pages, at = [np.empty(0, ACCOUNT_DTYPE)], 0
    with open_ledger(server.url) as source:
        while data := source.accounts(at).data:
            pages.append(records_of(data, ACCOUNT_DTYPE, origin="page"))
            at = int(pages[-1]["timestamp"][-1]) + 1
    return np.concatenate(pages)


def replay(folder: Path, binary: Path, *, seed: int, size: int) -> str:
    """Replays a world; returns what was compared, and raises AssertionError on any difference."""
    events, at_the_end = made_world(seed, size)
    with running_server(folder, binary=binary) as server:
        address = f"127.0.0.1:{server.port}"
        with tb.ClientSync(cluster_id=server.cluster_id, replica_addresses=address) as client:
            write(client, events, at_the_end)
            found = read_events(server)
            assert len(found) == len(events)
            assert differences(events, found) == []
            kept = read_accounts(server)
            for name in ACCOUNT_DTYPE.names or ():
                assert name == "timestamp" or (kept[name] == at_the_end[name]).all(), name
            expired = expire_on_server(client, server, events)
    voided = int((events["type"] == EVENT_TYPE_EXPIRED).sum())
    return (
        f"{len(events):,} change events and {len(kept):,} accounts are equal in every field but "
        f"the clocks ({voided:,} expiries as voids); {expired} holds expired on the server"
    )


def _transfer(row: Any) -> tb.Transfer:
    numbers = {
        name: _number(row[name])
        for name in (
            "id", "debit_account_id", "credit_account_id", "amount", "pending_id", "user_data_128",
        )
    }  # fmt: skip
    return tb.Transfer(
        **numbers,
        user_data_64=int(row["user_data_64"]),
        user_data_32=int(row["user_data_32"]),
        timeout=int(row["timeout"]),
        ledger=int(row["ledger"]),
        code=int(row["code"]),
        flags=tb.TransferFlags(int(row["flags"])),
    )


def _number(value: Any) -> int:
    return int(value["low"]) | int(value["high"]) << 64


def _all_taken(results: list[Any]) -> None:
    refused = [each for each in results if each.status.name != "CREATED"]
    assert refused == [], refused[:3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        said = replay(Path(folder), binary_or_skip(), seed=asked.seed, size=asked.size)
    print(said)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
