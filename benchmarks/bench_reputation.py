"""How long a full refresh of the reputation scores takes, beside a bare scan of the same events.

Every figure is of one run on one machine; compare figures within a run only. Give sizes as
arguments (events), for instance `python benchmarks/bench_reputation.py 1000000 5000000`; with
`--idle` it measures the search for new evidence beside 1 and 10 million transfers instead.

The events: 40% refer to a payment, 15% to a paid session, 10% to a free request, 5% to a
settlement, 10% are the platform's, 20% refer to nothing; 100,000 identities, 20 payers each, a
fifth of all identities funded by another one. As many payments as events times 0.55.

An hour's news: 5,000 judgements of as many new payments, and 1,000 settlements of old payments that
failed, each of which changes the verdict of a judgement that was made long ago.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.runs import begin_run
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.reputation.signals import write_signals
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.sql import split_statements

SIZES = (1_000_000, 5_000_000, 20_000_000)
# Beside 100,000 events.
TRANSFERS = (1_000_000, 10_000_000)
# Written at once: one statement may take 1.5 GB of memory.
TRANSFERS_EACH = 1_000_000
IDLE_EVENTS = 100_000
IDENTITIES = 100_000
DATA = Path(__file__).parent / "reputation_events.sql"
NEWS = Path(__file__).parent / "reputation_news.sql"
# What a careless dashboard would ask: the mean of the judgements, by identity and category.
BARE = """
SELECT count(), sum(score) FROM
(
    SELECT identity_id, category, avg(score_delta * confidence) AS score
    FROM masques.reputation_events
    WHERE timestamp > now64(9, 'UTC') - INTERVAL 120 DAY
    GROUP BY identity_id, category
)
"""


# In the window, of old: the time of ingestion is that of the payment.
MORE_TRANSFERS = """
INSERT INTO masques.transactions
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, status, event_type, ledger, code, ingested_at
)
SELECT
    generateUUIDv4(),
    now64(9) - toIntervalSecond(3600 + number * 7000000 / {transfers:UInt64}) AS at,
    reinterpretAsUUID(sipHash128('account', rand64() % {identities:UInt32})),
    reinterpretAsUUID(sipHash128('account', rand64(1) % {identities:UInt32})),
    1, 'USD', 'api_call', 'posted', 'single_phase', 1, 3, at
FROM numbers({first:UInt64}, {each:UInt64})
"""


class Peak:
    """The largest memory of this process while the context is open."""

    def __enter__(self) -> "Peak":
        self.bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.bytes = max(self.bytes, pages * 4096)


def fill(warehouse: Warehouse, events: int) -> None:
    parameters = {"events": events, "identities": IDENTITIES}
    for statement in split_statements(DATA.read_text(encoding="utf-8")):
        warehouse.command(statement, parameters, max_partitions_per_insert_block=100)


def timed(what: str, call: object) -> tuple[float, float]:
    """Returns the CPU seconds and the peak in MB: other work on the machine changes neither."""
    cpu_s = time.process_time()
    started_s = time.monotonic()
    with Peak() as peak:
        call()  # type: ignore[operator]
    wall_s = time.monotonic() - started_s
    cpu_s = time.process_time() - cpu_s
    peak_mb = peak.bytes / 1e6
    print(f"{what:<34}{wall_s:>8.2f} s {cpu_s:>8.2f} cpu s{peak_mb:>8.0f} MB", flush=True)
    return cpu_s, peak_mb


def measure(events: int, home: str) -> None:
    settings = read_settings({"MASQUES_HOME": home})
    # Filling takes more memory than asking, and memory is never given back: another process asks.
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        print(f"\n{events:,} events, {IDENTITIES:,} identities, anchors 0, 7 and 30 days")
        bare_s, _ = min(
            timed("bare scan and group", lambda: warehouse.rows(BARE)) for _ in range(2)
        )
        timed("facts, first time", lambda: write_facts(warehouse))
        timed("facts, nothing new", lambda: write_facts(warehouse))
        found = [timed("full refresh", lambda: refresh_scores(warehouse)) for _ in range(2)]
        print(
            f"full refresh : bare scan = {min(found)[0] / bare_s:.1f} in CPU seconds, "
            f"at most {max(peak for _, peak in found):.0f} MB",
            flush=True,
        )
        for statement in split_statements(NEWS.read_text(encoding="utf-8")):
            warehouse.command(statement, {"events": events, "identities": IDENTITIES})
        timed("facts, an hour's news", lambda: write_facts(warehouse))
        timed("facts, all compared anew", lambda: write_facts(warehouse, full=True))


def search(warehouse: Warehouse) -> None:
    """What an hourly run does before the refresh."""
    run = begin_run(warehouse)
    if run.has_news:
        write_signals(warehouse, since=run.since)
    write_facts(warehouse, run=run)


def measure_idle(transfers: int, home: str) -> tuple[float, float]:
    settings = read_settings({"MASQUES_HOME": home})
    with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
        migrate(warehouse)
        fill(warehouse, IDLE_EVENTS)
        for first in range(0, transfers, TRANSFERS_EACH):
            warehouse.command(
                MORE_TRANSFERS,
                {
                    "transfers": transfers,
                    "identities": IDENTITIES,
                    "first": first,
                    "each": TRANSFERS_EACH,
                },
                max_partitions_per_insert_block=100,
            )
        print(f"\n{transfers:,} transfers, {IDLE_EVENTS:,} events")
        timed("search, first time", lambda: write_facts(warehouse))
        timed("search, nothing new", lambda: search(warehouse))
        return min(timed("search, nothing new", lambda: search(warehouse)) for _ in range(9))


def main() -> None:
    if sys.argv[1:2] == ["--idle"]:
        found = []
        for transfers in TRANSFERS:
            with tempfile.TemporaryDirectory() as home:
                found.append(measure_idle(transfers, home))
        print(f"search, ten times the transfers: {found[1][0] / found[0][0]:.2f} x in CPU seconds")
        return
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]), sys.argv[3])
        return
    for events in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as home:
            settings = read_settings({"MASQUES_HOME": home})
            with open_warehouse(settings, origin=Origin(job="bench")) as warehouse:
                migrate(warehouse)
                fill(warehouse, events)
            arguments = [sys.executable, __file__, "--measure", str(events), home]
            subprocess.run(arguments, check=True)


if __name__ == "__main__":
    main()
