"""Every format gives the same tables, and a damaged file loses no row."""

import random
import uuid
from decimal import Decimal

import pandas as pd
import pytest

from masques_pipelines.intake.frames import load_frame
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_files import FORMATS
from tests.support.gate_rows import (
    GOOD,
    NOON,
    made_id,
    ndjson,
    request,
    session,
)
from tests.support.landing_zone import Zone, assert_accounted_for, counts, in_quarantine, rows_of


@pytest.mark.parametrize("table", list(TABLES))
def test_every_format_gives_the_same_table(warehouse: Warehouse, zone: Zone, table: str) -> None:
    rows = [GOOD[table](n) for n in range(10)]
    zone.drop(f"{table}/first.ndjson", ndjson(rows))
    assert counts(zone.load(warehouse, table)) == {"rows_read": 10, "loaded": 10}
    first = rows_of(warehouse, table)
    for name, written in FORMATS.items():
        zone.drop(f"{table}/{name}", written(rows))
    done = zone.load(warehouse, table)
    # Compared by content: one unlike value would be a conflict.
    same = sum(file.state == "same" for file in done.files)
    assert counts(done) == {
        "rows_read": 10 * (len(FORMATS) - same),
        "duplicates": 10 * (len(FORMATS) - same),
    }
    assert rows_of(warehouse, table) == first


def test_a_frame_is_validated_as_a_file_is(warehouse: Warehouse) -> None:
    frame = pd.DataFrame([request(n) for n in range(5)])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"]).dt.tz_convert("America/New_York")
    frame["request_id"] = frame["request_id"].map(uuid.UUID).astype(object)
    frame["price_usd"] = frame["price_usd"].map(Decimal).astype(object)
    frame.loc[3, "session_id"] = None
    frame.loc[4, "payment_status"] = "perhaps"
    done = load_frame(warehouse, "api_requests", frame, name="notebook")

    assert counts(done) == {"rows_read": 5, "loaded": 4, "quarantined": 1}
    assert in_quarantine(warehouse) == [("frame:notebook", 5, "unknown_payment_status")]
    assert warehouse.rows(
        "SELECT request_id, toUnixTimestamp64Nano(timestamp), session_id FROM masques.api_requests "
        "ORDER BY request_id LIMIT 1 OFFSET 3"
    ) == [(uuid.UUID(made_id(3, 1)), int(NOON.timestamp()) * 10**9 + 3_123_456_789, None)]
    again = load_frame(warehouse, "api_requests", frame.iloc[:4], name="notebook")
    assert counts(again) == {"rows_read": 4, "duplicates": 4}
    sessions = pd.DataFrame([session(1), session(2)])
    assert counts(load_frame(warehouse, "masque_sessions", sessions, name="s")) == {
        "rows_read": 2,
        "loaded": 2,
    }


def test_mutated_files_of_every_format_never_lose_a_row(warehouse: Warehouse, zone: Zone) -> None:
    chance = random.Random(11)
    rows = [request(n) for n in range(30)]
    for number in range(60):
        name, written = chance.choice(list(FORMATS.items()))
        data = bytearray(written(rows))
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randrange(1, 40)]
                case _:
                    data[place:place] = bytes(chance.randrange(256) for _ in range(5))
        zone.drop(f"api_requests/{number:03}/{name}", bytes(data))
    done = zone.load(warehouse)
    assert len(done.files) == 60
    assert_accounted_for(warehouse, done)
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == done.total("loaded")
    # Not everything is refused: most rows of a file with one wrong byte are good.
    assert done.total("loaded") >= 30
    assert 0 < done.files_failed < 60
