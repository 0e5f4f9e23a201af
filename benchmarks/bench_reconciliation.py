"""What comparing payments costs: all of them, nothing new, and fresh facts.

Run it at the full size with `make bench-reconciliation`; --share 0.1 makes a tenth of it, and
--random-ids gives everything ids in which no time is.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable

from masques_pipelines.reconciliation.breaks import open_breaks
from masques_pipelines.reconciliation.checks import breaks_by_class
from masques_pipelines.reconciliation.dossier import dossiers
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from tests.support.payment_facts import AGENT, AUTHOR, TREASURY, PaymentFacts, moment

# Two requests for each transfer, a settlement for each fifth.
TRANSFERS, DAYS = 5_000_000, 90
FACTS_A_TRANSFER = 3.2
# Filled by so many transfers at a time: one insert of all has no room in the memory of a query.
FILLED = 1_000_000
FULL_CPU_S = 60
QUIET_TICKS = 20
MINUTES = DAYS * 1440.0
# Ids that begin with a time, as TigerBeetle recommends: number i of n is at i / n of the days.
_AT = "start + toIntervalNanosecond(toInt64(n) * step)"
_ANY_REQUEST = "SELECT toString(request_id) FROM masques.api_requests WHERE charged > 0 LIMIT 1"
# The bytes of an integer are those of the two halves of an id the other way round.
TIMED = "reinterpretAsUUID(bitOr(bitShiftLeft(toUInt128({low}), 64), toUInt128({high})))"
RANDOM = "reinterpretAsUUID(sipHash128(toUInt64({high}), toUInt64({low})))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--random-ids", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = read_settings({"MASQUES_HOME": home})
        with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
            migrate(warehouse)
            bench(warehouse, given.share, RANDOM if given.random_ids else TIMED)


def bench(warehouse: Warehouse, share: float, ids: str) -> None:
    """Prints what each comparison and question costs, beside what it may cost."""
    facts = PaymentFacts(warehouse)
    facts.prepare()
    transfers = int(TRANSFERS * share)
    began = time.process_time()
    step_ns = int(MINUTES * 60 * 1e9 / transfers)
    for first in range(0, transfers, FILLED):
        count = min(FILLED, transfers - first)
        fill(warehouse, first, count, ids, step_ns=step_ns, at=first * step_ns / 60e9)
    facts.books(str(2 * (transfers // 5)))
    facts.read_to(MINUTES)
    print(f"made {transfers} transfers in {time.process_time() - began:.0f} CPU s", flush=True)
    settle(warehouse)
    full = timed("full", lambda: print(compare_payments(warehouse)), f"{FULL_CPU_S * share:.0f}")
    print(f"merging what it wrote: {settle(warehouse):.1f} CPU s", flush=True)
    compare_payments(warehouse)  # the position settles
    settle(warehouse)
    timed("nothing new", lambda: print(compare_payments(warehouse)), "0.5")
    first = transfers
    for fresh, most in ((10_000, 0.03), (100_000, 0.05)):
        count = int(fresh / FACTS_A_TRANSFER)
        fill(warehouse, first, count, ids, step_ns=1_000_000, at=MINUTES + first / 1e6)
        first += count
        settle(warehouse)
        spent = timed(f"{fresh} fresh facts", lambda: print(compare_payments(warehouse)))
        print(f"{fresh} fresh facts: {spent / full:.1%} of full (at most {most:.0%})", flush=True)
        settle(warehouse)
    timed("breaks by class and age", lambda: print(len(breaks_by_class(warehouse))), "0.5")
    worst = open_breaks(warehouse)
    if worst:
        of_it = str(worst[0]["item_id"])
        timed("dossier of a break", lambda: print(len(dossiers(warehouse, of_it))), "1")
        request = str(warehouse.scalar(_ANY_REQUEST))
        timed("dossier by a request", lambda: print(len(dossiers(warehouse, request))), "1")


def fill(  # noqa: PLR0913 - which transfers, by which ids, and when
    warehouse: Warehouse, first: int, count: int, ids: str = TIMED, *, step_ns: int, at: float = 0.0
) -> None:
    """Adds transfers: 4 of 5 are calls with two requests each, the rest deposits, all settled."""
    parameters = {"first": first, "count": count, "step": step_ns, "start": moment(at)}
    head = (
        "WITH toDateTime64({start:String}, 9, 'UTC') AS start, {step:Int64} AS step, "
        "{first:UInt64} AS first "
    )
    rows = "FROM (SELECT number AS n FROM numbers({count:UInt64}))"
    call_id = ids.format(high="first + n", low="7")
    warehouse.command(
        "INSERT INTO masques.transactions (transaction_id, timestamp, debit_account_id, "
        "credit_account_id, amount, currency, transaction_type, event_type, ledger, code) "
        f"{head} SELECT {call_id}, {_AT}, "
        f"if(n % 5 = 0, toUUID('{TREASURY}'), toUUID('{AGENT}')), "
        f"if(n % 5 = 0, toUUID('{AGENT}'), toUUID('{AUTHOR}')), 2, 'USD', "
        f"if(n % 5 = 0, 'deposit', 'api_call'), 'single_phase', 1, if(n % 5 = 0, 1, 3) {rows}",
        parameters,
    )
    for part in (1, 2):
        warehouse.command(
            "INSERT INTO masques.api_requests (request_id, timestamp, identity_id, "
            "transaction_id, status_code, payment_status, charged, charged_currency) "
            f"{head} SELECT {ids.format(high='first + n', low=str(10 + part))}, "
            f"{_AT} + toIntervalSecond({part}), toUUID('{'0' * 8}-0000-0000-0000-00000000000a'), "
            f"if(n % 5 = 0, NULL, {call_id}), 200, if(n % 5 = 0, 'free_tier', 'paid'), 1, 'USD' "
            f"{rows}",
            parameters,
        )
    settled_id = ids.format(high="first + n", low="20")
    warehouse.command(
        "INSERT INTO masques.settlements (settlement_id, timestamp, rail, amount, currency, "
        f"status, direction, revision) {head} SELECT {settled_id}, {_AT}, 'base', 2, 'USDC', "
        f"if(n % 5000 = 0, 'failed', 'confirmed'), 'in', 1 {rows} WHERE n % 5 = 0",
        parameters,
    )
    warehouse.command(
        "INSERT INTO masques_ops.settlement_links (settlement_id, transaction_id, recorded_at) "
        f"{head} SELECT {settled_id}, {call_id}, now64(6) {rows} WHERE n % 5 = 0",
        parameters,
    )


def settle(warehouse: Warehouse) -> float:
    """Waits until no part is merged any more; returns the CPU seconds that it took meanwhile."""
    began, quiet = time.process_time(), 0
    while quiet < QUIET_TICKS:
        time.sleep(0.1)
        quiet = 0 if warehouse.scalar("SELECT count() FROM system.merges") else quiet + 1
    return time.process_time() - began


def timed(what: str, call: Callable[[], object], most: str = "") -> float:
    """Prints what a call costs, and what it may cost; returns its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    aim = f" (at most {most})" if most else ""
    load = os.getloadavg()[0]
    print(
        f"{what}: {cpu:.2f} CPU s{aim}, {wall:.2f} s, peak {peak:.0f} MB (at most 2000), "
        f"load {load:.0f}",
        flush=True,
    )
    return cpu


if __name__ == "__main__":
    main()
