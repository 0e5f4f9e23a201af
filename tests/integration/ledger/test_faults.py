"""Faults at random moments: after each, the next run gives the table of no fault at all.

Real processes, killed with kill -9; the whole table compared each time, by a digest over every
column of every row. `MASQUES_TEST_SEED` repeats a run, `MASQUES_TEST_SIZE` makes it longer.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.source import LedgerUnavailableError
from masques_pipelines.ledger.transactions import LEASE, sync_transactions
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse import lease as lease_module
from masques_pipelines.warehouse import retry
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import WarehouseTransientError
from masques_pipelines.warehouse.lease import LeaseBusyError, LeaseLostError, writer_lease
from tests.clickhouse_front.front import Front, http_front
from tests.support.campaign import rounds, seeded
from tests.support.fresh_schema import adopt_schema, fresh_schema
from tests.support.memory_ledger import MemoryLedger
from tests.support.migrated_folder import copy_migrated
from tests.support.paths import DATA, ROOT
from tests.support.patience import finish
from tests.support.sync_worker import TABLE_DIGEST, WRITE, digest, ledger_of, sync

EMBEDDED_KILLS = rounds(3)
SERVER_KILLS = rounds(4)
BACKFILL_KILLS = rounds(2)
EVENTS = 2120
BACKFILL_EVENTS = 2 * EVENTS


@pytest.fixture(scope="module")
def dice() -> random.Random:
    return seeded()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("server") / "data"
    copy_migrated(folder)
    with http_front(folder) as running:
        with connected(running) as warehouse:
            adopt_schema(warehouse)
        yield running


@contextmanager
def connected(front: Front, job: str = "tests") -> Iterator[Warehouse]:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": front.url})
    with open_warehouse(settings, origin=Origin(job=job)) as warehouse:
        yield warehouse


@pytest.fixture
def server(front: Front) -> Iterator[Warehouse]:
    with connected(front) as warehouse:
        fresh_schema(warehouse)
        yield warehouse


@pytest.fixture(scope="module")
def undisturbed(front: Front, small_capture_path: Path) -> dict[int, str]:
    """The table's digest after undisturbed syncs of the first n events, for a few n."""
    digests = {}
    with connected(front) as warehouse:
        for events in cuts():
            ledger = ledger_of(small_capture_path, events)
            ledger.has_quick_transfers = False  # what a back-fill by transfers gives, too
            sync(warehouse, ledger)
            digests[events] = str(warehouse.scalar(TABLE_DIGEST))
    return digests


@pytest.fixture(scope="module")
def small_capture_path() -> Path:
    return DATA / "captures" / "small"


def cuts() -> list[int]:
    """How many events the ledger has in each round: it grows, and ends at its real end."""
    steps = max(EMBEDDED_KILLS, SERVER_KILLS, 7)
    return [EVENTS * (number + 1) // (steps + 1) for number in range(steps + 1)]


class Killed:
    """Runs workers and kills each at a random moment of its sync."""

    def __init__(self, dice: random.Random, home: Path, url: str, capture: Path) -> None:
        self._dice, self._home, self._url, self._capture = dice, home, url, capture
        self._sync_s = 0.5  # how long a disturbed sync takes, as seen so far
        self.killed_in_sync = 0

    def round(self, undisturbed: int, disturbed: int) -> str | None:
        """Returns the digest after the undisturbed sync; the next one is killed on its way."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.sync_worker", str(self._home), self._url,
             str(self._capture), str(undisturbed), str(disturbed)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            checked = None
            for line in process.stdout:
                if line.startswith("checked"):
                    checked = line.split()[1]
                if line.startswith("syncing"):
                    break
            started_s = time.monotonic()
            try:
                process.wait(self._dice.uniform(0, self._sync_s))
                self._sync_s = 0.7 * self._sync_s + 0.3 * (time.monotonic() - started_s)
            except subprocess.TimeoutExpired:
                self.killed_in_sync += 1
            process.kill()
        return checked


@pytest.mark.timeout(600)  # many processes: a busy machine takes minutes
def test_kill_9_at_any_moment_leaves_no_trace_embedded(
    tmp_path: Path, dice: random.Random, undisturbed: dict[int, str], small_capture_path: Path
) -> None:
    sizes = cuts()
    settings = read_settings({"MASQUES_HOME": str(tmp_path)})
    copy_migrated(tmp_path / "warehouse")
    worker = Killed(dice, tmp_path, settings.clickhouse_url, small_capture_path)
    for number in range(EMBEDDED_KILLS):
        before = sizes[number - 1] if number else 0
        checked = worker.round(before, sizes[number])
        assert checked == (undisturbed[before] if before else None), f"round {number}"
    assert worker.killed_in_sync >= EMBEDDED_KILLS // 2


@pytest.mark.timeout(600)
def test_kill_9_of_the_writer_at_any_moment_leaves_no_trace_on_a_server(
    server: Warehouse,
    front: Front,
    tmp_path: Path,
    dice: random.Random,
    undisturbed: dict[int, str],
    small_capture_path: Path,
) -> None:
    sizes = cuts()
    worker = Killed(dice, tmp_path, front.url, small_capture_path)
    for number in range(SERVER_KILLS):
        before = sizes[number - 1] if number else 0
        checked = worker.round(before, sizes[number])
        assert checked == (undisturbed[before] if before else None), f"round {number}"
        expire_leases(server)  # a minute passes
    assert worker.killed_in_sync >= SERVER_KILLS // 2


@pytest.mark.timeout(600)
def test_kill_9_in_a_backfill_by_transfers_leaves_no_trace(
    server: Warehouse, front: Front, tmp_path: Path, dice: random.Random, small_capture_path: Path
) -> None:
    # The killed run reads transfers between the expiries; the next one resumes by change events.
    by_change_events = ledger_of(small_capture_path, BACKFILL_EVENTS)
    by_change_events.has_quick_transfers = False
    sync(server, by_change_events)
    undisturbed = digest(server)
    worker = Killed(dice, tmp_path, front.url, small_capture_path)
    for number in range(BACKFILL_KILLS):
        fresh_schema(server)
        worker.round(0, BACKFILL_EVENTS)
        expire_leases(server)
        sync(server, ledger_of(small_capture_path, BACKFILL_EVENTS))
        assert digest(server) == undisturbed, f"round {number}"
    assert worker.killed_in_sync >= BACKFILL_KILLS // 2


def expire_leases(warehouse: Warehouse) -> None:
    """Makes a killed holder's deadline pass, as a minute would."""
    for name, comment in warehouse.rows(
        "SELECT name, comment FROM system.tables WHERE database = 'masques_ops' "
        "AND startsWith(name, 'lease_')"
    ):
        said = json.dumps({**json.loads(comment), "deadline_ms": 1})
        warehouse.command(f"ALTER TABLE masques_ops.{name} MODIFY COMMENT '{said}'")


def test_a_killed_server_and_a_resent_insert_leave_no_trace(
    server: Warehouse,
    front: Front,
    dice: random.Random,
    undisturbed: dict[int, str],
    small_capture_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = cuts()
    ledger = ledger_of(small_capture_path, sizes[3])
    # The line is cut after the commit: the driver sends the same insert again.
    front.inject("drop_after", match=WRITE)
    sync_transactions(server, ledger, read_chart(None), batch_events=80)
    assert digest(server) == undisturbed[sizes[3]]
    assert front.faults() == []
    # Both attempts carry one id: a real server refuses the second while the first is running.
    cut_off = next(one for one in front.requests(WRITE) if one["fault"] == "drop_after")
    again = [one for one in front.requests(WRITE) if one["query_id"] == cut_off["query_id"]]
    assert [(one["executed"], one["status"]) for one in again] == [(True, 0), (True, 200)]
    # That refusal passes by itself.
    front.inject("error", match=WRITE, code=216)
    sync_transactions(
        server, ledger_of(small_capture_path, sizes[4]), read_chart(None), batch_events=80
    )
    assert digest(server) == undisturbed[sizes[4]]
    refused = next(one for one in front.requests(WRITE) if one["code"] == 216)
    ids = [one["query_id"] for one in front.requests(WRITE)]
    assert ids.count(refused["query_id"]) == 2  # our own retry carries it too

    for name in ("WAIT_FIRST_S", "WAIT_MAX_S", "JITTER_S"):
        monkeypatch.setattr(retry, name, 0.01)
    for size in sizes[5:7]:
        ledger = ledger_of(small_capture_path, size)
        kill_at = dice.randrange(2, 5)

        def killed_meanwhile(changing: MemoryLedger, at: int = kill_at) -> None:
            if changing.calls == at:
                front.kill()

        ledger.before_call = killed_meanwhile
        with connected(front) as warehouse, pytest.raises(WarehouseTransientError):
            sync_transactions(warehouse, ledger, read_chart(None), batch_events=40)
        front.restart()
        with connected(front) as warehouse:
            expire_leases(warehouse)
            sync_transactions(warehouse, ledger_of(small_capture_path, size), read_chart(None))
            assert digest(warehouse) == undisturbed[size]


def test_a_ledger_that_stops_in_mid_sync_leaves_no_trace(
    warehouse: Warehouse, undisturbed: dict[int, str], small_capture_path: Path
) -> None:
    # Each of the four calls that a round takes at least: the bond, two pages, the empty one.
    for number, size in enumerate(cuts()[:4]):
        ledger = ledger_of(small_capture_path, size)

        def stopped_meanwhile(changing: MemoryLedger, at: int = number % 4 + 1) -> None:
            if changing.calls == at:
                raise LedgerUnavailableError("the ledger went away")

        ledger.before_call = stopped_meanwhile
        with pytest.raises(LedgerUnavailableError):
            sync_transactions(warehouse, ledger, read_chart(None), batch_events=40)
        ledger.before_call = lambda _ledger: None
        sync_transactions(warehouse, ledger, read_chart(None), batch_events=40)
        assert digest(warehouse) == undisturbed[size]


FULL_DISK = """
set -e
python="$1" home="$2"
mount -t tmpfs -o size=64m tmpfs "$home"
export MASQUES_HOME="$home" MASQUES_CLICKHOUSE_URL="chdb://$home/warehouse"
cp -a "$6" "$home/warehouse"
worker() { "$python" -m tests.support.sync_worker "$home" "" "$3" 0 "$4"; }
worker "$@"
dd if=/dev/zero of="$home/ballast" bs=16k 2>"$home/filled" || true
worker "$1" "$2" "$3" "$5" && exit 9
truncate -s -1500000 "$home/ballast"
worker "$1" "$2" "$3" "$5" && exit 9
rm "$home/ballast"
worker "$1" "$2" "$3" "$5"
"""
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def test_a_full_disk_leaves_no_trace(
    tmp_path: Path, undisturbed: dict[int, str], small_capture_path: Path
) -> None:
    """A real one: a file system of 64 MB, in a mount namespace of its own."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives its users no mount namespaces")
    sizes = cuts()
    migrated, home = tmp_path / "migrated", tmp_path / "home"
    copy_migrated(migrated)
    home.mkdir()
    done = subprocess.run(
        [*NAMESPACE, "bash", "-c", FULL_DISK, "full-disk", sys.executable, str(home),
         str(small_capture_path), str(sizes[5]), str(EVENTS), str(migrated)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *("syncing", f"done {undisturbed[sizes[5]]}"),
        "syncing",  # not even the file of the rows could be written
        "syncing",  # some parts were, then the engine found no space for the next
        *("syncing", f"done {undisturbed[EVENTS]}"),
    ]
    reasons = [line for line in done.stderr.splitlines() if "TransientError: " in line]
    assert "engine/inserts: cannot be written (No space left on device): free" in reasons[0]
    assert "INSERT INTO masques" in reasons[-1]
    assert reasons[-1].endswith(
        "(NOT_ENOUGH_SPACE): free some space on the disk that holds the warehouse, then run again"
    )


def test_a_failed_insert_and_a_user_who_stops_the_run_leave_no_trace(
    warehouse: Warehouse,
    undisturbed: dict[int, str],
    small_capture_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is raised in the middle of an insert, before or after it took effect.
    faults: list[tuple[BaseException, bool]] = [
        (WarehouseTransientError("no space", code=243), False),
        (KeyboardInterrupt(), True),
        (WarehouseTransientError("no space", code=243), True),
        (KeyboardInterrupt(), False),
    ]
    for size, (fault, is_after) in zip(cuts(), faults, strict=False):
        ledger = ledger_of(small_capture_path, size)
        with monkeypatch.context() as patch:
            patch.setattr(
                Warehouse,
                "insert_select",
                _failing_at_second(Warehouse.insert_select, fault, is_after=is_after),
            )
            with pytest.raises(type(fault)):
                sync_transactions(warehouse, ledger, read_chart(None), batch_events=40)
        sync_transactions(warehouse, ledger, read_chart(None), batch_events=40)
        assert digest(warehouse) == undisturbed[size]


def _failing_at_second(
    real: Callable[..., None], fault: BaseException, *, is_after: bool
) -> Callable[..., None]:
    """Returns the same call, which raises at its second time, before or after it took effect."""
    calls: list[str] = []

    def failing(self: Warehouse, sql: str, *args: object, **kwargs: object) -> None:
        calls.append(sql)
        if len(calls) == 2 and not is_after:
            raise fault
        real(self, sql, *args, **kwargs)
        if len(calls) == 2:
            raise fault

    return failing


def test_two_writers_write_every_event_once(
    server: Warehouse, front: Front, tmp_path: Path, undisturbed: dict[int, str],
    small_capture_path: Path,
) -> None:  # fmt: skip
    size = cuts()[-1]
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.sync_worker", str(tmp_path), front.url,
             str(small_capture_path), "0", str(size)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [finish(writer)[0] for writer in writers]

    assert [writer.returncode for writer in writers] == [0, 0]
    assert all(f"done {undisturbed[size]}" in text for text in said)
    assert digest(server) == undisturbed[size]
    # One table is left of the lease, and it is free.
    comments = server.rows(
        "SELECT comment FROM system.tables WHERE database = 'masques_ops' "
        "AND startsWith(name, 'lease_')"
    )
    assert [json.loads(comment)["deadline_ms"] for (comment,) in comments] == [0]


def test_a_second_writer_is_told_who_holds_the_lease(server: Warehouse, front: Front) -> None:
    with (
        connected(front, job="the other") as other,
        writer_lease(other, LEASE),
        pytest.raises(LeaseBusyError, match=r"the other \(process \d+ on .*\) writes 'ledger'"),
        writer_lease(server, LEASE, wait_s=0.6),
    ):
        pass
    with writer_lease(server, LEASE, wait_s=0):
        pass  # released


def test_a_stale_lease_is_taken_over_and_its_old_holder_stops(
    server: Warehouse, front: Front
) -> None:
    with connected(front, job="frozen") as other, writer_lease(other, LEASE) as old:
        old.hold()
        old._deadline_s -= 30  # noqa: SLF001  # as 30 s later: it is renewed, and another waits
        old.hold()
        with pytest.raises(LeaseBusyError), writer_lease(server, LEASE, wait_s=0):
            pass
        expire_leases(server)
        old._deadline_s = 0  # noqa: SLF001  # as after a minute in which the holder stood still
        with writer_lease(server, LEASE, wait_s=0) as new:
            with pytest.raises(LeaseLostError, match="ran out before it could be renewed"):
                old.hold()
            new.hold()


def test_of_many_who_see_a_stale_lease_one_takes_it(front: Front, server: Warehouse) -> None:
    with connected(front) as other:
        stale = lease_module.Lease(LEASE, 60.0, _warehouse=other, _token="dead")
        assert stale._take(other, 1)  # noqa: SLF001
    takers = [
        lease_module.Lease(LEASE, 60.0, _warehouse=server, _token=f"taker{n}") for n in range(4)
    ]
    assert [taker._take(server, 2) for taker in takers] == [True, False, False, False]  # noqa: SLF001
    # One that read the list long ago makes a number that was dropped since: it loses too.
    assert takers[0]._take(server, 3)  # noqa: SLF001
    assert not takers[1]._take(server, 2)  # noqa: SLF001
    takers[0].hold()
