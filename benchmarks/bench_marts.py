"""CPU seconds of what analysts ask the marts, beside the same answer read from the table by keys.

Every figure is of one run on one machine; compare figures within a run only. Sizes are options:
`--sessions 500000 --settlements 100000 --transactions 3000000`.
The open holds are asked before any checkpoint of the proofs, and after one of a day ago, which is
the usual state, with a thousand holds that are open for long.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import split_statements

DATA: Final = Path(__file__).parent / "marts.sql"
SIZES: Final = {"sessions": 5_000_000, "settlements": 1_000_000, "transactions": 30_000_000}
# Rows of one insert: the filling stays within the engine's memory.
SLICES: Final = {"sessions": 1_000_000, "settlements": 100_000, "transactions": 1_000_000}
IDENTITIES: Final = 300_000
BUDGET_CPU_S: Final = 0.5
# So many holds of the whole year are in the checkpoint as open, beside those that are.
OLD_HOLDS: Final = 1_000

# Of 300,000 identities: some hundred sessions, and a handful.
IDENTITY: Final = "reinterpretAsUUID(sipHash128('party', toUInt64(1000)))"
QUIET_IDENTITY: Final = "reinterpretAsUUID(sipHash128('party', toUInt64(100000)))"
ACCOUNT: Final = "reinterpretAsUUID(sipHash128('account', toUInt64(1000)))"
HASH: Final = (
    "concat('0x', lower(hex(sipHash128('tx', toUInt64({middle})))), "
    "lower(hex(sipHash128('tx2', toUInt64({middle})))))"
)
HOLD: Final = "reinterpretAsUUID(sipHash128('transaction', toUInt64({hold})))"
# The proofs write this after they held; here nothing was proved.
CHECKPOINT: Final = """
INSERT INTO masques_ops.checkpoint_holds
(
    checkpoint_ns, transaction_id, opened_ns, debit_account_id, credit_account_id, ledger, amount,
    timeout_s, code
)
SELECT
    {base_ns:UInt64}, transaction_id, toUnixTimestamp64Nano(held_at), debit_account_id,
    credit_account_id, ledger, reinterpret(held, 'Int256'), timeout_s, {code:UInt16}
FROM masques_marts.holds
WHERE toUnixTimestamp64Nano(held_at) <= {base_ns:UInt64} AND (state = 'open'
    OR toUnixTimestamp64Nano(assumeNotNull(resolved_at)) > {base_ns:UInt64}
    OR sipHash64(transaction_id) % {every:UInt64} = 0)
"""
# What the views were before filters reached the tables.
PLAIN_SETTLEMENT: Final = """
SELECT * FROM
(
    SELECT * FROM masques.settlements ORDER BY settlement_id, revision DESC LIMIT 1 BY settlement_id
)
WHERE tx_hash = {hash}
"""


def questions(sizes: dict[str, int]) -> Iterator[tuple[str, str, str]]:
    """Yields what is asked, by the view, and by keys from the table."""
    reports = "SELECT * FROM masques.masque_sessions WHERE identity_id = {}"
    hash_ = HASH.format(middle=sizes["settlements"] // 2)
    hold = HOLD.format(hold=sizes["transactions"] // 12 * 6)
    settlement = f"SELECT * FROM masques.settlements WHERE tx_hash = {hash_}"
    events = (
        f"SELECT * FROM masques.transactions WHERE transaction_id = {hold} OR pending_id = {hold}"
    )
    for name, identity in (("busy", IDENTITY), ("quiet", QUIET_IDENTITY)):
        raw = reports.format(identity)
        view = f"SELECT * FROM masques_marts.sessions_current WHERE identity_id = {identity}"
        yield f"sessions of a {name} identity, view", view, raw
        look_up = f"SELECT * FROM masques_marts.sessions_of(identity = {identity})"
        yield f"sessions of a {name} identity, look-up", look_up, raw
    view = f"SELECT * FROM masques_marts.settlements_current WHERE tx_hash = {hash_}"
    yield "settlement by hash, view", view, settlement
    look_up = f"SELECT * FROM masques_marts.settlement_of(hash = {hash_})"
    yield "settlement by hash, look-up", look_up, settlement
    yield "hold by id, look-up", f"SELECT * FROM masques_marts.hold(id = {hold})", events
    yield (
        "open holds",
        "SELECT * FROM masques_marts.holds_open",
        ("SELECT * FROM masques_ops.checkpoint_holds"),
    )
    yield (
        "statement of 90 days",
        (
            f"SELECT * FROM masques_marts.statement(account = {ACCOUNT}, "
            "from = now64(9) - toIntervalDay(90), to = now64(9))"
        ),
        (
            f"SELECT * FROM masques.transactions WHERE {ACCOUNT} IN (debit_account_id, "
            "credit_account_id) AND timestamp >= now64(9) - toIntervalDay(90)"
        ),
    )


def fill(warehouse: Warehouse, sizes: dict[str, int]) -> None:
    statements = split_statements(DATA.read_text(encoding="utf-8"))
    for kind, statement in zip(SIZES, statements, strict=True):
        for first in range(0, sizes[kind], SLICES[kind]):
            rows = min(SLICES[kind], sizes[kind] - first)
            warehouse.command(
                statement,
                {**sizes, "identities": IDENTITIES, "first": first, "rows": rows},
                max_partitions_per_insert_block=100,
            )


def cpu_s(warehouse: Warehouse, query: str, *, times: int = 2) -> tuple[float, int]:
    """Returns the CPU seconds of the best of several runs, and the rows of the answer."""
    best_s, rows = float("inf"), 0
    for _ in range(times):
        started_s = time.process_time()
        rows = len(warehouse.rows(query))
        best_s = min(best_s, time.process_time() - started_s)
    return best_s, rows


def measure(home: str, sizes: dict[str, int], *, plain: bool) -> None:
    settings = read_settings({"MASQUES_HOME": home})
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        listed = ", ".join(f"{rows:,} {kind}" for kind, rows in sizes.items())
        print(f"{listed}\n{'':<40}{'rows':>8}{'cpu s':>8}{'by keys':>9}{'ratio':>8}")
        asked_s, rows = cpu_s(warehouse, "SELECT * FROM masques_marts.holds_open", times=1)
        print(f"{'open holds, before any checkpoint':<40}{rows:>8,}{asked_s:>8.2f}", flush=True)
        base_ns = time.time_ns() - 86_400 * 10**9
        every = max(sizes["transactions"] // 6 // OLD_HOLDS, 1)
        warehouse.command(CHECKPOINT, {"base_ns": base_ns, "code": 3, "every": every})
        warehouse.insert_rows(
            "masques_ops.balance_checkpoints", ["checkpoint_ns", "state"], [[base_ns, "proven"]]
        )
        for name, view, by_keys in questions(sizes):
            asked_s, rows = cpu_s(warehouse, view)
            keys_s, _ = cpu_s(warehouse, by_keys)
            above = "" if asked_s <= BUDGET_CPU_S else f"  above {BUDGET_CPU_S}"
            print(
                f"{name:<40}{rows:>8,}{asked_s:>8.2f}{keys_s:>9.2f}{asked_s / keys_s:>8.1f}{above}",
                flush=True,
            )
        if plain:
            query = PLAIN_SETTLEMENT.format(hash=HASH.format(middle=sizes["settlements"] // 2))
            asked_s, rows = cpu_s(warehouse, query, times=1)
            print(f"{'settlement by hash, ordering all':<40}{rows:>8,}{asked_s:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for kind, rows in SIZES.items():
        parser.add_argument(f"--{kind}", type=int, default=rows)
    parser.add_argument("--plain", action="store_true", help="Ask the definitions of before, too.")
    parser.add_argument("--home", help="Measure a warehouse that was filled before.")
    arguments = parser.parse_args()
    sizes = {kind: int(getattr(arguments, kind)) for kind in SIZES}
    if arguments.home:
        measure(arguments.home, sizes, plain=arguments.plain)
        return
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
            migrate(warehouse)
            fill(warehouse, sizes)
        # Filling takes memory that is never given back: another process asks.
        subprocess.run([sys.executable, __file__, "--home", home, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
