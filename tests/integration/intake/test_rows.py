"""What arrives in the tables, exactly, and what is rejected and why."""

import json
import uuid
from decimal import Decimal
from typing import Any

import pandas as pd

from masques_pipelines.intake.frames import load_frame
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import (
    GOOD,
    NOON,
    at,
    event,
    identity,
    made_id,
    ndjson,
    payment_link,
    request,
    session,
)
from tests.support.landing_zone import Zone, assert_accounted_for, counts


def test_a_row_of_each_table_arrives_exactly(warehouse: Warehouse, zone: Zone) -> None:
    for table, good in GOOD.items():
        zone.drop(f"{table}/day.ndjson", ndjson([good(3)]))
        assert counts(zone.load(warehouse, table)) == {"rows_read": 1, "loaded": 1}
    ns = "toUnixTimestamp64Nano"
    noon_ns = int(NOON.timestamp()) * 10**9

    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, timestamp), {ns}(timestamp) FROM masques.api_requests"
    ) == [
        (
            uuid.UUID(made_id(3, 1)),
            uuid.UUID(made_id(3, 2)),
            uuid.UUID(made_id(3, 3)),
            "/v1/masques/3",
            "POST",
            "masque",
            "3",
            3,
            2**63 + 3,
            30,
            3,
            Decimal("0.000123"),
            uuid.UUID(made_id(3, 4)),
            200,
            "paid",
            f"{4:032x}",
            f"{4:016x}",
            "landing",
            Decimal("0.000000123456789012"),
            "BTC",
            noon_ns + 3_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, donned_at, doffed_at), {ns}(donned_at), {ns}(doffed_at) "
        "FROM masques.masque_sessions"
    ) == [
        (
            "session",
            uuid.UUID(made_id(3, 3)),
            uuid.UUID(made_id(3, 2)),
            "Codesmith",
            "0.1.0",
            "private",
            None,
            "write",
            {"name": "cli", "version": "2"},
            "",
            uuid.UUID(made_id(0, 5)),
            uuid.UUID(made_id(3, 4)),
            "landing",
            Decimal("3.25"),
            "USD",
            noon_ns + 3_123_456_789,
            noon_ns + 63_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, created_at, updated_at), {ns}(created_at), "
        f"{ns}(updated_at) FROM masques.identities"
    ) == [
        (
            uuid.UUID(made_id(3, 2)),
            "agent",
            "agent 3",
            {"team": "blue"},
            {"wallet": "0xabc"},
            "active",
            "",
            "landing",
            noon_ns + 123_456_789,
            noon_ns + 3_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, timestamp), {ns}(timestamp) FROM masques.reputation_events"
    ) == [
        (
            uuid.UUID(made_id(3, 6)),
            uuid.UUID(made_id(3, 2)),
            "task_quality",
            "task_done",
            0.25,
            0.5,
            "session",
            made_id(3, 3),
            {"counterparty_id": made_id(1, 2)},
            "landing",
            noon_ns + 3_123_456_789,
        )
    ]
    assert warehouse.rows(
        f"SELECT * EXCEPT (ingested_at, timestamp), {ns}(timestamp) FROM masques_ops.payment_links"
    ) == [
        (
            uuid.UUID(made_id(3, 7)),
            uuid.UUID(made_id(0, 4)),
            "served nothing",
            "landing",
            noon_ns + 3_123_456_789,
        )
    ]


def test_times_and_prices_are_read_as_written(warehouse: Warehouse, zone: Zone) -> None:
    noon_s = int(NOON.timestamp())
    written: list[tuple[Any, int]] = [  # as producers write it, nanoseconds after noon
        (f"{NOON:%Y-%m-%dT%H:%M:%S}Z", 0),
        (f"{NOON:%Y-%m-%d %H:%M:%S}.5", 500_000_000),  # no zone: UTC
        (f"{NOON:%Y-%m-%dT}14:00:00+02:00", 0),
        (f"{NOON:%Y-%m-%dT}06:30:00.000000001-0530", 1),
        (noon_s, 0),
        (str(noon_s), 0),
        (noon_s * 10**3 + 7, 7_000_000),
        (noon_s * 10**6 + 7, 7_000),
        (noon_s * 10**9 + 7, 7),
        (f"{noon_s}.000000007", 7),
    ]
    prices = [  # as written, as stored
        ("1", "1"),
        (1, "1"),
        (0.1, "0.1"),
        ("0.1000000", "0.1"),
        ("999999999999.999999", "999999999999.999999"),
        ("1e-6", "0.000001"),
        ("", "0"),
        (None, "0"),
    ]
    rows: list[Any] = [request(n, timestamp=time) for n, (time, _) in enumerate(written)]
    rows += [request(100 + n, price_usd=price) for n, (price, _) in enumerate(prices)]
    # 18 digits as a JSON number are more than a double has; so is a nested field of the same name.
    literal = json.dumps(request(200, price_usd="PRICE")).replace('"PRICE"', "123456789012.123457")
    nested = literal.replace('"method"', '"x": {"price_usd": 7}, "method"', 1)
    nested = nested.replace(made_id(200, 1), made_id(201, 1))
    zone.drop("api_requests/a.ndjson", ndjson([*rows, literal, nested]))

    assert counts(zone.load(warehouse)) == {"rows_read": 20, "loaded": 20}
    got = warehouse.rows(
        "SELECT toUInt128(request_id), toUnixTimestamp64Nano(timestamp), price_usd "
        "FROM masques.api_requests ORDER BY request_id"
    )
    assert [ns - noon_s * 10**9 for _, ns, _ in got[:10]] == [after for _, after in written]
    assert [price for _, _, price in got[10:18]] == [Decimal(stored) for _, stored in prices]
    assert [price for _, _, price in got[18:]] == [Decimal("123456789012.123457")] * 2


def test_numbers_beyond_a_double_keep_their_digits(warehouse: Warehouse, zone: Zone) -> None:
    long = "123456789012.12345678901234567"  # a double ends after …123.12346
    text = f'1, {long}: " {long}'  # no number, whatever it looks like
    tiny = "1e-400"  # a double has no such number
    noon_s = int(NOON.timestamp())
    written = json.dumps(event(1, attributes={"a": 1, "list": [2], "text": text}, other=3))
    written = written.replace('"a": 1', f'"a": {long}').replace("[2]", f"[2, {long}]")
    written = written.replace('"other": 3', f'"other": {long}')
    in_text = json.dumps(event(2, attributes='{"a": LONG}'.replace("LONG", long)))
    zone.drop("reputation_events/a.ndjson", ndjson([written, in_text]))
    assert counts(zone.load(warehouse, "reputation_events")) == {"rows_read": 2, "loaded": 2}
    kept = warehouse.rows("SELECT attributes FROM masques.reputation_events ORDER BY event_id")
    assert kept == [
        ({"a": long, "list": f'[2,"{long}"]', "other": long, "text": text},),
        ({"a": long},),
    ]

    def request_with(number: int, **literals: str) -> str:
        line = json.dumps(request(number, **dict.fromkeys(literals, "LITERAL")))
        for name, literal in literals.items():
            line = line.replace(f'"{name}": "LITERAL"', f'"{name}": {literal}')
        return line

    zone.drop(
        "api_requests/a.ndjson",
        ndjson(
            [
                request_with(1, timestamp=f"{noon_s}.123456789"),
                request_with(2, price_usd="999999999999.999999"),
                request_with(3, price_usd="0.1000000000000000055"),  # as a double it is 0.1
                request_with(4, price_usd=tiny),  # and this 0
                request_with(5, price_usd="1.2.3.4.5.6.7.8.9.0.1.2"),  # no number at all
            ]
        ),
    )
    done = zone.load(warehouse)
    assert warehouse.rows(
        "SELECT request_id, toUnixTimestamp64Nano(timestamp), price_usd FROM masques.api_requests "
        "ORDER BY request_id"
    ) == [
        (uuid.UUID(made_id(1, 1)), noon_s * 10**9 + 123_456_789, Decimal("0.000123")),
        (uuid.UUID(made_id(2, 1)), noon_s * 10**9 + 2_123_456_789, Decimal("999999999999.999999")),
    ]
    assert done.reasons == {"bad_decimal:price_usd": 2, "invalid_json": 1}


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("api_requests", {"request_id": None}, "missing:request_id"),
    ("api_requests", {"request_id": str(uuid.UUID(int=0))}, "missing:request_id"),
    ("api_requests", {"request_id": "zz"}, "bad_uuid:request_id"),
    ("api_requests", {"identity_id": ""}, "missing:identity_id"),
    ("api_requests", {"session_id": "17"}, "bad_uuid:session_id"),
    ("api_requests", {"timestamp": None}, "missing:timestamp"),
    ("api_requests", {"timestamp": "12:30"}, "bad_timestamp:timestamp"),  # not today
    ("api_requests", {"timestamp": f"{NOON:%Y-%m-%d}T25:00:00Z"}, "bad_timestamp:timestamp"),
    ("api_requests", {"timestamp": "2026-02-31T00:00:00Z"}, "bad_timestamp:timestamp"),
    ("api_requests", {"timestamp": f"{NOON:%Y-%m}-00T00:00:00Z"}, "bad_timestamp:timestamp"),
    ("api_requests", {"timestamp": f"{NOON:%Y-%m}-32T00:00:00Z"}, "bad_timestamp:timestamp"),
    ("masque_sessions", {"doffed_at": f"{NOON:%Y-%m}-00T00:00:00Z"}, "bad_timestamp:doffed_at"),
    (
        "api_requests",
        {"timestamp": at(0, "1234567891")},
        "bad_timestamp:timestamp",
    ),  # a tenth digit
    ("api_requests", {"timestamp": "2199-01-01T00:00:00Z"}, "future_timestamp"),
    ("api_requests", {"timestamp": "2020-01-01T00:00:00Z"}, "past_retention"),
    ("api_requests", {"endpoint": ""}, "missing:endpoint"),
    ("api_requests", {"tokens_input": -1}, "bad_integer:tokens_input"),
    ("api_requests", {"tokens_output": 2**64}, "bad_integer:tokens_output"),
    ("api_requests", {"duration_ms": "1.5"}, "bad_integer:duration_ms"),
    ("api_requests", {"status_code": 65_536}, "bad_integer:status_code"),
    ("api_requests", {"price_usd": "0.0000001"}, "bad_decimal:price_usd"),  # would be lost
    ("api_requests", {"price_usd": "12,50"}, "bad_decimal:price_usd"),
    ("api_requests", {"price_usd": "-0.5"}, "bad_decimal:price_usd"),
    ("api_requests", {"price_usd": "1000000000000"}, "bad_decimal:price_usd"),
    ("api_requests", {"payment_status": "PAID"}, "unknown_payment_status"),
    ("api_requests", {"trace_id": "xyz"}, "bad_trace_id:trace_id"),
    ("api_requests", {"span_id": "0" * 16 + "1"}, "bad_span_id:span_id"),
    ("identities", {"identity_type": "robot"}, "unknown_identity_type"),
    ("identities", {"status": "gone"}, "unknown_status"),
    ("identities", {"created_at": None}, "missing:created_at"),
    ("identities", {"updated_at": "2199-01-01"}, "future_timestamp"),
    ("identities", {"updated_at": at(-1)}, "updated_before_created"),
    ("identities", {"attributes": [1]}, "bad_map:attributes"),
    ("masque_sessions", {"report": "hat"}, "unknown_report"),
    ("masque_sessions", {"donned_at": None}, "missing:donned_at"),
    ("masque_sessions", {"doffed_at": None}, "missing:doffed_at"),
    ("masque_sessions", {"doffed_at": at(-9)}, "doffed_before_donned"),
    ("masque_sessions", {"masque_source": "stolen"}, "unknown_masque_source"),
    ("masque_sessions", {"masque_name": ""}, "missing:masque_name"),
    ("masque_sessions", {"client_info": "cli"}, "bad_map:client_info"),
    ("reputation_events", {"category": "luck"}, "unknown_category"),
    ("reputation_events", {"score_delta": "high"}, "bad_number:score_delta"),
    ("reputation_events", {"score_delta": "1e-400"}, "bad_number:score_delta"),  # would be 0
    ("reputation_events", {"confidence": "nan"}, "bad_number:confidence"),
    ("reputation_events", {"reference_type": "rumour"}, "unknown_reference_type"),
    ("payment_links", {"transaction_id": ""}, "missing:transaction_id"),
    ("payment_links", {"transaction_id": "17"}, "bad_uuid:transaction_id"),
    ("payment_links", {"refund_of": str(uuid.UUID(int=0))}, "missing:refund_of"),
    ("payment_links", {"refund_of": "17"}, "bad_uuid:refund_of"),
    ("payment_links", {"refund_of": made_id(4, 7)}, "refunds_itself"),
    ("payment_links", {"timestamp": None}, "missing:timestamp"),
    ("payment_links", {"timestamp": "noon"}, "bad_timestamp:timestamp"),
    ("payment_links", {"timestamp": "2199-01-01"}, "future_timestamp"),
    ("payment_links", {"timestamp": "2015-01-01"}, "past_retention"),
    (
        "masque_sessions",
        {"report": "don", "charged": "1", "charged_currency": "USD"},
        "charged_at_don",
    ),
    *(
        (table, changes, reason)
        for table in ("api_requests", "masque_sessions")
        for changes, reason in (
            ({"charged": None}, "missing:charged"),
            ({"charged_currency": ""}, "missing:charged_currency"),
            ({"charged_currency": "usd"}, "bad_currency:charged_currency"),
            ({"charged_currency": "US D"}, "bad_currency:charged_currency"),
            ({"charged_currency": "U" * 17}, "bad_currency:charged_currency"),
            ({"charged": "-1"}, "bad_decimal:charged"),
            ({"charged": "1,5"}, "bad_decimal:charged"),
            ({"charged": "free"}, "bad_decimal:charged"),
            ({"charged": "NaN"}, "bad_decimal:charged"),
            ({"charged": "0.0000000000000000001"}, "bad_decimal:charged"),  # would be lost
            ({"charged": "1e-19"}, "bad_decimal:charged"),
            ({"charged": "1e-50"}, "bad_decimal:charged"),
            ({"charged": "1e99"}, "bad_decimal:charged"),
            ({"charged": "9" * 59}, "bad_decimal:charged"),
        )
    ),
]


def test_what_was_charged_is_kept_to_the_last_digit(warehouse: Warehouse, zone: Zone) -> None:
    written: list[tuple[Any, str]] = [
        ("9" * 58 + "." + "9" * 18, "9" * 58 + "." + "9" * 18),
        ("0.000000000000000001", "0.000000000000000001"),
        ("1.50000000000000000000000", "1.5"),
        (0, "0"),
        ("0.0", "0"),
        (12, "12"),
        (0.1, "0.1"),
        (5e-7, "0.0000005"),  # a double's text has an exponent
        ("1e3", "1000"),
        ("1E-18", "0.000000000000000001"),
        ("0e5", "0"),
    ]
    for name, good in (("api_requests", request), ("masque_sessions", session)):
        key = TABLES[name].key
        rows = [good(n, charged=charge) for n, (charge, _) in enumerate(written)]
        # Not said is not 0.
        rows.append(good(len(rows), charged=None, charged_currency=""))
        zone.drop(f"{name}/a.ndjson", ndjson(rows))
        done = zone.load(warehouse, name)
        assert (done.total("loaded"), done.reasons) == (len(rows), {}), name
        assert warehouse.rows(
            f"SELECT charged, charged_currency != '' FROM {TABLES[name].target} ORDER BY {key}"
        ) == [*((Decimal(text), 1) for _, text in written), (None, 0)]


def test_a_charge_is_part_of_what_a_second_row_is_compared_by(
    warehouse: Warehouse, zone: Zone
) -> None:
    said: list[dict[str, Any]] = [
        {"charged": None, "charged_currency": None},
        {"charged": "0", "charged_currency": "USD"},
        {"charged": "1", "charged_currency": "USD"},
        {"charged": "1", "charged_currency": "BTC"},
    ]
    for name, good in (("api_requests", request), ("masque_sessions", session)):
        zone.drop(f"{name}/first.ndjson", ndjson(good(n, **one) for n, one in enumerate(said)))
        assert counts(zone.load(warehouse, name)) == {"rows_read": 4, "loaded": 4}
        for number in range(len(said)):  # in the table, and in the same batch
            for n in (number, 10 + number):
                rows = [said[number], *said] if n >= 10 else said
                zone.drop(f"{name}/{n}.ndjson", ndjson(good(n, **other) for other in rows))
        for result in zone.load(warehouse, name).files:
            loaded = int(result.path.split("/")[1][:-7]) >= 10
            assert (result.loaded, result.duplicates, result.conflicts) == (loaded, 1, 3)


def test_findings_of_charges_and_refunds(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop(
        "masque_sessions/a.ndjson",
        ndjson(
            [
                session(1, "don"),
                session(1, "doff", charged="1"),
                session(1, "session", charged="2"),
                session(2, "session"),
            ]
        ),
    )
    zone.drop("identities/a.ndjson", ndjson([identity(1), identity(2)]))
    nothing: dict[str, Any] = {"transaction_id": None, "payment_status": "free_tier"}
    zone.drop(
        "api_requests/a.ndjson",
        ndjson([request(1, **nothing), request(2, **nothing, charged="0")]),
    )
    zone.drop("payment_links/a.ndjson", ndjson([payment_link(0), payment_link(1)]))
    warehouse.command(
        "INSERT INTO masques.transactions (transaction_id, timestamp) VALUES "
        f"('{made_id(0, 7)}', now64(9)), ('{made_id(0, 4)}', now64(9))"
    )
    for table in GOOD:
        zone.load(warehouse, table)
    assert warehouse.rows("SELECT finding, id FROM masques_marts.intake_findings ORDER BY ALL") == [
        ("charged_without_transaction", uuid.UUID(made_id(1, 1))),
        ("charges_of_session_differ", uuid.UUID(made_id(1, 3))),
        ("refund_of_unknown_payment", uuid.UUID(made_id(1, 7))),
        ("refund_without_transfer", uuid.UUID(made_id(1, 7))),
    ]
    # Both of one report, never the amount of one and the currency of another.
    assert warehouse.rows(
        "SELECT charged, charged_currency FROM masques_marts.sessions_current ORDER BY session_id"
    ) == [(Decimal(2), "USD"), (Decimal("2.25"), "USD")]


def test_a_table_is_read_up_to_what_its_channels_told_by_their_own_clocks(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("masque_sessions/a.ndjson", ndjson([session(1, "don"), session(1, "doff")]))
    zone.drop("api_requests/a.ndjson", ndjson([request(5), request(2), request(9, endpoint="")]))
    zone.drop("api_requests/b.ndjson", ndjson([request(5)]))  # nothing new
    zone.drop("api_requests/c.csv", b"no header of ours\n")
    for table in GOOD:
        zone.load(warehouse, table)
    load_frame(warehouse, "api_requests", pd.DataFrame([request(50)]), name="back-fill")
    assert warehouse.rows(
        "SELECT table_name, channel, toUnixTimestamp64Nano(assumeNotNull(read_to)), is_current, "
        "files, files_open FROM masques_ops.landing_read_to ORDER BY ALL"
    ) == [
        ("api_requests", "landing", int(NOON.timestamp() + 5) * 10**9 + 123_456_789, 1, 2, 1),
        # The doff, not the don.
        ("masque_sessions", "landing", int(NOON.timestamp() + 61) * 10**9 + 123_456_789, 1, 1, 0),
    ]


def test_each_kind_of_bad_row_goes_to_quarantine_with_its_reason(
    warehouse: Warehouse, zone: Zone
) -> None:
    for table, good in GOOD.items():
        bad = [(changes, reason) for name, changes, reason in BAD if name == table]
        lines = ndjson([good(n, **changes) for n, (changes, _) in enumerate(bad)])
        zone.drop(f"{table}/bad.ndjson", lines + ndjson([good(1000)]))
        done = zone.load(warehouse, table)
        assert counts(done) == {
            "rows_read": len(bad) + 1,
            "loaded": 1,
            "quarantined": len(bad),
        }
        assert_accounted_for(warehouse, done)
        entries = warehouse.rows(
            "SELECT line_no, reason, raw, attempts, state FROM masques_ops.quarantine FINAL "
            f"WHERE table_name = '{table}' ORDER BY line_no"
        )
        raw = lines.decode().splitlines()
        assert entries == [(n + 1, reason, raw[n], 1, "open") for n, (_, reason) in enumerate(bad)]


def test_unknown_fields_are_kept_where_there_is_a_map_and_counted_where_not(
    warehouse: Warehouse, zone: Zone
) -> None:
    extra = {"region": "eu", "weights": {"a": [1, 2]}, "nothing": None}
    for table, good in GOOD.items():
        zone.drop(f"{table}/a.ndjson", ndjson([good(1, **extra), good(2)]))
    for table in ("api_requests", "payment_links"):
        assert zone.load(warehouse, table).total("unknown_fields") == 3
    for table, column in (
        ("identities", "attributes"),
        ("masque_sessions", "client_info"),
        ("reputation_events", "attributes"),
    ):
        assert zone.load(warehouse, table).total("unknown_fields") == 0
        kept = warehouse.scalar(
            f"SELECT max(mapFilter((k, v) -> k IN ('region', 'weights', "
            f"'nothing'), {column})) FROM masques.{table}"
        )
        assert kept == {"region": "eu", "weights": '{"a":[1,2]}'}


def test_sessions_merge_and_findings_are_found_and_go_away(
    warehouse: Warehouse, zone: Zone
) -> None:
    doff = session(1, "doff", masque_name="", masque_version="", intent="", duration_ms=60_000)
    zone.drop("masque_sessions/doff.ndjson", ndjson([doff]))
    zone.drop(
        "api_requests/a.ndjson",
        ndjson([request(1), request(2, session_id=None), request(12, transaction_id=None)]),
    )
    zone.drop("reputation_events/a.ndjson", ndjson([event(1)]))
    for table in GOOD:
        zone.load(warehouse, table)
    findings = "SELECT finding, id FROM masques_marts.intake_findings ORDER BY ALL"
    assert warehouse.rows(findings) == [
        ("doff_without_don", uuid.UUID(made_id(1, 3))),
        ("event_of_unknown_identity", uuid.UUID(made_id(1, 6))),
        ("paid_without_transaction", uuid.UUID(made_id(12, 1))),
        ("session_without_identity", uuid.UUID(made_id(1, 3))),
    ]
    zone.drop("masque_sessions/don.ndjson", ndjson([session(1, "don")]))
    zone.drop("identities/a.ndjson", ndjson([identity(1)]))
    zone.drop("api_requests/b.ndjson", ndjson([request(3)]))
    for table in GOOD:
        zone.load(warehouse, table)
    assert warehouse.rows(findings) == [
        ("paid_without_transaction", uuid.UUID(made_id(12, 1))),
        ("request_of_unknown_session", uuid.UUID(made_id(3, 1))),
    ]
    current = warehouse.records(
        "SELECT * EXCEPT (donned_at, doffed_at), "
        "toUnixTimestamp64Nano(assumeNotNull(doffed_at)) - toUnixTimestamp64Nano(donned_at) AS ns "
        "FROM masques_marts.sessions_current"
    )
    assert current == [
        {
            "session_id": uuid.UUID(made_id(1, 3)),
            "identity_id": uuid.UUID(made_id(1, 2)),
            "masque_name": "Codesmith",
            "masque_version": "0.1.0",
            "masque_source": "private",
            "duration_ms": 60_000,
            "intent": "write",
            "client_info": {"name": "cli", "version": "2"},
            "trace_id": "",
            "author_id": uuid.UUID(made_id(0, 5)),
            "transaction_id": uuid.UUID(made_id(1, 4)),
            "charged": Decimal("1.25"),
            "charged_currency": "USD",
            "has_don": 1,
            "has_doff": 1,
            "reports": 2,
            "ns": 60 * 10**9,
        }
    ]


def test_one_moment_has_many_spellings_and_a_zero_one_sign(
    warehouse: Warehouse, zone: Zone
) -> None:
    day = f"{NOON:%Y-%m-%d}"
    spellings = [
        f"{day}T12:00:00Z",
        f"{day}t12:00:00z",
        f"{day} 12:00:00+00",
        f"{day} 12:00:00.000000+00",
        f"{day} 14:30:00+0230",
        f"{day} 09:00:00-03",
        f"{day}T12:00Z",
        str(int(NOON.timestamp())),
        f"{int(NOON.timestamp())}000",
    ]
    zone.drop(
        "reputation_events/a.ndjson",
        ndjson(
            [
                {**event(n), "timestamp": text, "score_delta": "-0.0" if n % 2 else "0"}
                for n, text in enumerate(spellings)
            ]
        ),
    )
    assert counts(zone.load(warehouse, "reputation_events"))["loaded"] == len(spellings)
    assert warehouse.rows(
        "SELECT DISTINCT toUnixTimestamp64Nano(timestamp), toString(score_delta) "
        "FROM masques.reputation_events"
    ) == [(int(NOON.timestamp()) * 10**9, "0")]
