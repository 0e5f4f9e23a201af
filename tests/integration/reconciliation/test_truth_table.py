"""Every combination of what ledger, gate and rail say, and the word that follows on each leg."""

from typing import Final

from syrupy.assertion import SnapshotAssertion

from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.warehouse.client import Warehouse
from tests.support.payment_facts import AGENT, AUTHOR, PLATFORM, TREASURY, PaymentFacts, moment

_DAYS_MIN: Final = 3 * 1440.0
LEDGER: Final = ("none", "open", "voided", "expired", "posted")
TYPES: Final = ("deposit", "masque_session", "api_call", "refund", "settlement")
SIDES: Final = ("rail_in", "rail_out", "internal", "balance")
GATE: Final = (
    "none",
    "served",
    "unserved",
    "undecided",
    "refused",
    "session_open",
    "session_done",
)
RAIL: Final = (
    "none",
    "pending",
    "unknown",
    "closed",
    "failed",
    "confirmed",
    "off_chain",
    "claimable",
    "not_followed",
)
TIMES: Final = ("in time", "overdue")
_COMBINATIONS: Final = """
CREATE OR REPLACE TABLE masques_ops.combinations ENGINE = Memory AS
SELECT
    reinterpretAsUUID(toUInt128(number + 1)) AS id,
    reinterpretAsUUID(toUInt128(number + 1) + 1000000) AS other_id,
    {ledger:Array(String)}[1 + number % 5] AS ledger,
    {types:Array(String)}[1 + intDiv(number, 5) % 5] AS type,
    {sides:Array(String)}[1 + intDiv(number, 25) % 4] AS sides,
    {gate:Array(String)}[1 + intDiv(number, 100) % 7] AS gate,
    {rail:Array(String)}[1 + intDiv(number, 700) % 9] AS rail,
    {times:Array(String)}[1 + intDiv(number, 6300) % 2] AS time,
    toDateTime64(if(time = 'overdue', {early:String}, {late:String}), 9, 'UTC')
        + toIntervalNanosecond(number) AS at
FROM numbers(12600)
"""
_HOLDS: Final = """
INSERT INTO masques.transactions (transaction_id, timestamp, debit_account_id, credit_account_id,
    amount, currency, transaction_type, event_type, ledger, code, pending_id)
SELECT
    if(event = 'two_phase_pending', id, other_id),
    at + toIntervalNanosecond(event != 'two_phase_pending'),
    {debit:Map(String, UUID)}[sides], {credit:Map(String, UUID)}[sides], 7, 'USD', type, event, 1,
    transform(type, ['deposit', 'masque_session', 'api_call', 'refund', 'settlement'],
        [1, 2, 3, 5, 6], 0),
    if(event = 'two_phase_pending', NULL, id)
FROM masques_ops.combinations
ARRAY JOIN if(ledger = 'open', ['two_phase_pending'],
    ['two_phase_pending', concat('two_phase_', ledger)]) AS event
WHERE ledger != 'none'
"""
_REQUESTS: Final = """
INSERT INTO masques.api_requests (request_id, timestamp, transaction_id, status_code,
    payment_status, charged, charged_currency)
SELECT other_id, at, id, multiIf(gate = 'served', 200, gate = 'refused', 402, 500),
    transform(gate, ['undecided', 'refused'], ['unknown', 'rejected'], 'paid'),
    if(gate = 'served', toDecimal256(7, 18), NULL), if(gate = 'served', 'USD', '')
FROM masques_ops.combinations WHERE gate IN ('served', 'unserved', 'undecided', 'refused')
"""
_SESSIONS: Final = """
INSERT INTO masques.masque_sessions (report, session_id, donned_at, doffed_at, transaction_id)
SELECT 'session', other_id, at, if(gate = 'session_done', at, NULL), id
FROM masques_ops.combinations WHERE startsWith(gate, 'session_')
"""
_SETTLEMENTS: Final = """
INSERT INTO masques.settlements (settlement_id, timestamp, rail, amount, currency, status,
    direction, revision, attributes)
SELECT other_id, at, 'base', 7, 'USDC', if(rail = 'closed', 'unknown', rail),
    if(sides = 'rail_out', 'out', 'in'), 1, if(rail = 'closed', map('closed', 'yes'), map())
FROM masques_ops.combinations WHERE rail != 'none'
"""
_LINKS: Final = """
INSERT INTO masques_ops.settlement_links (settlement_id, transaction_id, recorded_at)
SELECT other_id, id, now64(6) FROM masques_ops.combinations WHERE rail != 'none'
"""
_SAID: Final = """
SELECT c.*, ifNull(p.items, 0) AS items, if(p.items = 0, '', p.gate) AS gate_word,
    if(p.items = 0, '', p.rail) AS rail_word
FROM masques_ops.combinations AS c
LEFT JOIN (SELECT item_id, count() AS items, any(p.gate) AS gate, any(p.rail) AS rail
    FROM masques_marts.payments AS p GROUP BY item_id) AS p ON p.item_id = c.id
"""


def _text(warehouse: Warehouse, word: str, columns: str) -> list[str]:
    """Returns one line per combination of the columns that decide a leg, with its one word.

    Where the word depends on the time it is `in time > overdue`.
    """
    rows = warehouse.rows(
        f"SELECT {columns}, groupUniqArrayIf({word}, time = 'in time') AS early, "
        f"groupUniqArrayIf({word}, time = 'overdue') AS late "
        f"FROM ({_SAID}) GROUP BY {columns} ORDER BY {columns}"
    )
    lines = ["  ".join(f"{name:<14}" for name in columns.split(", ")) + "  word"]
    for *given, early, late in rows:
        assert len(early) == len(late) == 1, (given, early, late)
        words = early if early == late else [*early, *late]
        said = " > ".join(word or "-" for word in words)
        lines.append("  ".join(f"{part:<14}" for part in given) + f"  {said}")
    return lines


def test_each_combination_has_one_word_on_each_leg(
    warehouse: Warehouse, snapshot: SnapshotAssertion
) -> None:
    facts = PaymentFacts(warehouse)
    facts.prepare()
    facts.read_to(_DAYS_MIN)
    warehouse.command(
        _COMBINATIONS,
        {
            "ledger": list(LEDGER),
            "types": list(TYPES),
            "sides": list(SIDES),
            "gate": list(GATE),
            "rail": list(RAIL),
            "times": list(TIMES),
            "early": moment(0),
            "late": moment(_DAYS_MIN - 1),
        },
    )
    debit = {"rail_in": TREASURY, "rail_out": AUTHOR, "internal": TREASURY, "balance": AGENT}
    credit = {"rail_in": AGENT, "rail_out": TREASURY, "internal": TREASURY, "balance": PLATFORM}
    holds = _HOLDS
    for name, accounts in (("debit", debit), ("credit", credit)):
        pairs = ", ".join(f"'{sides}', toUUID('{account}')" for sides, account in accounts.items())
        holds = holds.replace(f"{{{name}:Map(String, UUID)}}", f"map({pairs})")
    for statement in (holds, _REQUESTS, _SESSIONS, _SETTLEMENTS, _LINKS):
        warehouse.command(statement)

    compare_payments(warehouse)

    assert warehouse.scalar(f"SELECT max(items) FROM ({_SAID})") == 1
    gate = _text(warehouse, "gate_word", "type, ledger, gate")
    rail = _text(warehouse, "rail_word", "type, sides, ledger, rail")
    assert "\n".join([*gate, "", *rail]) == snapshot
