"""The marts answer as their plain definitions do, on odd rows and before any merge.

The plain definitions read everything and then filter. The views are written so that a filter
reaches the tables, which must not change an answer.
"""

import pytest

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NOBODY = "toUUID('00000000-0000-0000-0000-000000000000')"

PLAIN_SESSIONS = f"""
SELECT
    r.session_id AS session_id,
    maxIf(r.identity_id, r.identity_id != {NOBODY}) AS identity_id,
    max(toString(r.masque_name)) AS masque_name,
    max(toString(r.masque_version)) AS masque_version,
    max(toString(r.masque_source)) AS masque_source,
    min(r.donned_at) AS donned_at,
    coalesce(
        max(r.doffed_at),
        max(fromUnixTimestamp64Nano(
            toUnixTimestamp64Nano(r.donned_at) + toInt64(r.duration_ms) * 1000000, 'UTC')))
        AS doffed_at,
    coalesce(
        max(r.duration_ms),
        toUInt64(intDiv(
            toUnixTimestamp64Nano(max(r.doffed_at)) - toUnixTimestamp64Nano(min(r.donned_at)),
            1000000))) AS duration_ms,
    max(r.intent) AS intent,
    argMax(r.client_info, length(r.client_info)) AS client_info,
    max(r.trace_id) AS trace_id,
    maxIf(r.author_id, r.author_id != {NOBODY}) AS author_id,
    max(r.transaction_id) AS transaction_id,
    max(r.charged) AS charged,
    argMax(toString(r.charged_currency), r.charged) AS charged_currency,
    countIf(r.report IN ('don', 'session')) > 0 AS has_don,
    countIf(r.report IN ('doff', 'session')) > 0 AS has_doff,
    count() AS reports
FROM masques.masque_sessions AS r
GROUP BY r.session_id
"""
PLAIN_OPEN = "SELECT transaction_id, held_at, held FROM masques_marts.holds WHERE state = 'open'"

# Up to five reports of each of 300 sessions in no order, with fields missing, and identities that
# are missing or differ; one in five rows is there twice.
ODD_SESSIONS = """
INSERT INTO masques.masque_sessions
(
    report, session_id, identity_id, masque_name, masque_version, masque_source, donned_at,
    doffed_at, duration_ms, intent, client_info, trace_id, author_id, transaction_id, charged,
    charged_currency
)
SELECT
    ['don', 'doff', 'session'][1 + h % 3],
    reinterpretAsUUID(toUInt128(1000 + s)),
    reinterpretAsUUID(toUInt128(if(h % 7 < 3, s % 40, (h % 4) * (s % 40)))),
    if(h % 3 = 0, '', concat('m', toString(h % 5))),
    if(h % 5 = 0, '', '1'),
    if(h % 5 = 1, '', 'private'),
    toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + toIntervalSecond(s + h % 3),
    if(h % 2 = 0, NULL, toDateTime64('2026-01-01 01:00:00', 9, 'UTC') + toIntervalSecond(h % 99)),
    if(h % 3 = 1, NULL, h % 5000),
    if(h % 4 = 0, '', concat('intent ', toString(h % 10))),
    mapFromArrays(range(h % 3)::Array(String), range(h % 3)::Array(String)),
    if(h % 2 = 0, '', lower(hex(sipHash128(s)))),
    reinterpretAsUUID(toUInt128(h % 3)),
    if(h % 3 = 0, NULL, reinterpretAsUUID(toUInt128(7000 + s))),
    if(h % 3 = 0, NULL, toDecimal256(h % 5, 18)),
    if(h % 3 = 0, '', concat('C', toString(h % 5)))
FROM
(
    SELECT number % 300 AS s, sipHash64({seed:UInt8}, number) AS h,
        arrayJoin(if(h % 5 = 0, [1, 2], [1])) AS copy
    FROM numbers(1000)
)
"""
# Up to six revisions of each of 200 settlements in no order; some numbers are there twice, with
# the same content or with another; hashes change between revisions.
ODD_SETTLEMENTS = """
INSERT INTO masques.settlements
(
    settlement_id, timestamp, rail, amount, currency, tx_hash, status, direction, revision,
    recorded_at, payment_ref
)
SELECT
    reinterpretAsUUID(toUInt128(1000 + s)),
    toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + toIntervalDay(h % 90),
    'base',
    toDecimal256(h % 1000, 18) / 7,
    'USD',
    concat('0x', toString((s + h % 2) % 150)),
    ['pending', 'confirmed', 'failed'][1 + h % 3],
    'in',
    1 + h % 6,
    toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalSecond(h % 3),
    toString(s)
FROM
(
    SELECT number % 200 AS s, sipHash64({seed:UInt8}, number) AS h,
        arrayJoin(if(h % 5 = 0, [1, 2], [1])) AS copy
    FROM numbers(700)
)
"""
# Holds with no end, one, or two; ends without a hold; single events; one in five is there twice.
ODD_EVENTS = """
INSERT INTO masques.transactions
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, status, event_type, pending_id, ledger, timeout_s, code
)
SELECT
    reinterpretAsUUID(toUInt128(if(kind = 'two_phase_expired', 1000 + hold, 9000 + n))),
    toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + toIntervalMinute(n) + toIntervalNanosecond(n),
    reinterpretAsUUID(toUInt128(1 + h % 5)),
    reinterpretAsUUID(toUInt128(6 + h % 5)),
    toDecimal256(1 + h % 1000, 18) / 8,
    'USD', 'escrow_hold', 'posted', kind,
    if(kind IN ('single_phase', 'two_phase_pending'), NULL,
        reinterpretAsUUID(toUInt128(1000 + hold))),
    1, if(kind = 'two_phase_pending', h % 2 * 60, 0), 7
FROM
(
    SELECT number AS n, sipHash64({seed:UInt8}, number) AS h, n % 400 AS hold,
        ['single_phase', 'two_phase_posted', 'two_phase_voided', 'two_phase_expired'][1 + h % 4]
            AS kind,
        arrayJoin(if(h % 5 = 0, [1, 2], [1])) AS copy
    FROM numbers(500)
)
UNION ALL
SELECT
    reinterpretAsUUID(toUInt128(1000 + number)),
    toDateTime64('2025-12-31 00:00:00', 9, 'UTC') + toIntervalMinute(number),
    reinterpretAsUUID(toUInt128(1)), reinterpretAsUUID(toUInt128(6)), toDecimal256(500, 18), 'USD',
    'escrow_hold', 'pending', 'two_phase_pending', NULL, 1, 3600, 7
FROM numbers(300)
"""
SEEDS = pytest.mark.parametrize("seed", range(3))


def rows_only_in_one(warehouse: Warehouse, one: str, other: str) -> list[tuple[object, ...]]:
    return [
        *warehouse.rows(f"SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other})"),
        *warehouse.rows(f"SELECT * FROM ({other}) EXCEPT SELECT * FROM ({one})"),
    ]


def count(warehouse: Warehouse, query: str) -> int:
    return int(warehouse.scalar(f"SELECT count() FROM ({query})"))


def without_merges(warehouse: Warehouse, table: str, statement: str, seed: int) -> None:
    """Writes the rows twice over in two halves, as parts that nothing has merged."""
    warehouse.command(f"SYSTEM STOP MERGES {table}")
    try:
        warehouse.command(statement, {"seed": seed}, max_block_size=97)
        warehouse.command(statement, {"seed": seed + 100}, max_block_size=97)
    finally:
        warehouse.command(f"SYSTEM START MERGES {table}")


@SEEDS
def test_sessions_are_merged_as_by_the_plain_definition(warehouse: Warehouse, seed: int) -> None:
    without_merges(warehouse, "masques.masque_sessions", ODD_SESSIONS, seed)
    view = "SELECT * FROM masques_marts.sessions_current"
    assert count(warehouse, view) == count(warehouse, PLAIN_SESSIONS) == 300
    assert rows_only_in_one(warehouse, view, PLAIN_SESSIONS) == []
    for number in (0, 1, 7, 39, 500):
        identity = f"reinterpretAsUUID(toUInt128({number}))"
        wanted = f"SELECT * FROM ({PLAIN_SESSIONS}) WHERE identity_id = {identity}"
        found = count(warehouse, wanted)
        for asked in (
            f"{view} WHERE identity_id = {identity}",
            f"SELECT * FROM masques_marts.sessions_of(identity = {identity})",
        ):
            assert rows_only_in_one(warehouse, asked, wanted) == []
            assert count(warehouse, asked) == found, asked
    one = f"{view} WHERE session_id = reinterpretAsUUID(toUInt128(1007))"
    assert count(warehouse, one) == 1


@pytest.mark.parametrize("second", ["", "AND masque_name = 'm'", "AND has_doff", "AND reports > 1"])
def test_one_identity_limits_what_is_merged_whatever_else_is_asked(
    warehouse: Warehouse, second: str
) -> None:
    warehouse.command(ODD_SESSIONS, {"seed": 1})
    warehouse.command("OPTIMIZE TABLE masques.masque_sessions FINAL")  # makes statistics
    asked = f"SELECT * FROM masques_marts.sessions_current WHERE identity_id = {NOBODY} {second}"
    plan = warehouse.text(f"EXPLAIN {asked}", fmt="TSVRaw")
    # The side that is read first, below the filter that it builds, is not the one that is merged.
    assert 0 < plan.index("Aggregating") < plan.index("BuildRuntimeFilter")


@SEEDS
def test_a_settlement_is_its_latest_revision_once(warehouse: Warehouse, seed: int) -> None:
    without_merges(warehouse, "masques.settlements", ODD_SETTLEMENTS, seed)
    view = "masques_marts.settlements_current"
    total, ids, most = warehouse.row(
        f"SELECT count(), uniqExact(settlement_id), max(revision) FROM {view}"
    )
    assert (total, ids, most) == (200, 200, 6)
    # Of rows with one number any may stand; it is one that was written, with the largest number.
    written = """
        SELECT settlement_id, revision, timestamp, amount, tx_hash, status, recorded_at
        FROM masques.settlements
        WHERE (settlement_id, revision) IN
            (SELECT settlement_id, max(revision) FROM masques.settlements GROUP BY settlement_id)
    """
    shown = f"""
        SELECT settlement_id, revision, timestamp, amount, tx_hash, status, recorded_at FROM {view}
    """
    assert warehouse.rows(f"{shown} EXCEPT {written}") == []
    for number in (0, 7, 149, 500):
        filtered = f"SELECT settlement_id FROM {view} WHERE tx_hash = '0x{number}'"
        possible = f"SELECT settlement_id FROM ({written}) WHERE tx_hash = '0x{number}'"
        assert count(warehouse, filtered) == count(
            warehouse, f"SELECT DISTINCT * FROM ({filtered})"
        )
        assert warehouse.rows(f"{filtered} EXCEPT {possible}") == []
    for status in ("pending", "confirmed", "failed"):
        filtered = f"SELECT settlement_id FROM {view} WHERE status = '{status}'"
        assert (
            warehouse.rows(
                f"{filtered} EXCEPT SELECT settlement_id FROM ({written}) WHERE status = '{status}'"
            )
            == []
        )
    by_reference = warehouse.rows(
        "SELECT settlement_id, revision FROM masques_marts.settlement_of(hash = '7')"
    )
    assert by_reference == warehouse.rows(
        f"SELECT settlement_id, revision FROM {view} WHERE payment_ref = '7'"
    )
    assert len(by_reference) == 1


@SEEDS
def test_look_ups_of_holds_answer_as_all_holds_do(warehouse: Warehouse, seed: int) -> None:
    without_merges(warehouse, "masques.transactions", ODD_EVENTS, seed)
    states = dict(warehouse.rows("SELECT state, count() FROM masques_marts.holds GROUP BY state"))
    assert {"open", "conflicting", "unknown", "voided"} <= set(states)
    open_now = "SELECT transaction_id, held_at, held FROM masques_marts.holds_open"
    assert rows_only_in_one(warehouse, open_now, PLAIN_OPEN) == []
    assert count(warehouse, open_now) == states["open"]
    for number in (1000, 1001, 1150, 1299, 1350, 1399, 9000):
        asked = f"SELECT * FROM masques_marts.hold(id = reinterpretAsUUID(toUInt128({number})))"
        wanted = (
            "SELECT * FROM masques_marts.holds "
            f"WHERE transaction_id = reinterpretAsUUID(toUInt128({number}))"
        )
        assert rows_only_in_one(warehouse, asked, wanted) == []
        assert count(warehouse, asked) == count(warehouse, wanted)


# As rows were before the table had the code of a hold; what they lack is in the hold's event.
BEFORE_THE_CODE = """
ALTER TABLE masques_ops.checkpoint_holds
    UPDATE code = 0, amount = 7, ledger = 7 WHERE cityHash64(transaction_id) % 2 < {half:UInt8}
    SETTINGS mutations_sync = 2
"""


@pytest.mark.parametrize("halves", [0, 1, 2], ids=["new rows", "mixed rows", "rows of before"])
def test_open_holds_continue_from_a_checkpoint(warehouse: Warehouse, halves: int) -> None:
    load_chart(warehouse, read_chart(None))
    warehouse.command(ODD_EVENTS, {"seed": 1})
    base_ns = int(
        warehouse.scalar(
            "SELECT toUnixTimestamp64Nano(max(timestamp)) FROM masques.transactions "
            "WHERE timestamp < '2026-01-01 04:00:00'"
        )
    )
    warehouse.command(
        sql("ledger/proofs/checkpoint_holds"), {"base_ns": 0, "checkpoint_ns": base_ns}
    )
    warehouse.command(BEFORE_THE_CODE, {"half": halves})
    warehouse.insert_rows(
        "masques_ops.balance_checkpoints", ["checkpoint_ns", "state"], [[base_ns, "proven"]]
    )
    columns = (
        "transaction_id, held_at, debit_account_id, credit_account_id, ledger, "
        "toString(currency), toString(transaction_type), timeout_s, held"
    )
    open_now = f"SELECT {columns} FROM masques_marts.holds_open"
    plain = f"SELECT {columns} FROM masques_marts.holds WHERE state = 'open'"
    assert rows_only_in_one(warehouse, open_now, plain) == []
    assert count(warehouse, open_now) == count(warehouse, plain) > 10
    # It is read: without its holds only those that began later are left.
    warehouse.command("TRUNCATE TABLE masques_ops.checkpoint_holds")
    assert count(warehouse, open_now) == count(
        warehouse, f"{plain} AND toUnixTimestamp64Nano(held_at) > {base_ns}"
    )


def test_a_statement_is_what_was_posted_to_the_account(warehouse: Warehouse) -> None:
    warehouse.command(ODD_EVENTS, {"seed": 1})
    asked = (
        "SELECT timestamp, change, counterparty_account_id FROM masques_marts.statement("
        "account = reinterpretAsUUID(toUInt128(2)), from = '2026-01-01 01:00:00', "
        "to = '2026-01-01 05:00:00')"
    )
    wanted = """
        SELECT DISTINCT timestamp,
            if(debit_account_id = reinterpretAsUUID(toUInt128(2)), -amount, amount),
            if(debit_account_id = reinterpretAsUUID(toUInt128(2)), credit_account_id,
                debit_account_id)
        FROM masques.transactions
        WHERE event_type IN ('single_phase', 'two_phase_posted')
            AND reinterpretAsUUID(toUInt128(2)) IN (debit_account_id, credit_account_id)
            AND timestamp BETWEEN '2026-01-01 01:00:00' AND '2026-01-01 04:59:59.999999999'
    """
    assert rows_only_in_one(warehouse, asked, wanted) == []
    assert count(warehouse, asked) == count(warehouse, wanted) > 10
