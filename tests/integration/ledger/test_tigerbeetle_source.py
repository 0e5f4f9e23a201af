"""The TigerBeetle source against real servers: what it reads, and what it does when they fail."""

import concurrent.futures
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.capture.writer import write_capture
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    TRANSFER_DTYPE,
    Records,
    records_of,
    u128,
)
from masques_pipelines.ledger.source import LedgerRefusedError, LedgerSource, LedgerUnavailableError
from masques_pipelines.ledger.tigerbeetle.address import Address
from masques_pipelines.ledger.tigerbeetle.source import Bounds, TigerBeetleSource
from tests.support.captures import balances_of, folded, without_unused
from tests.support.paths import ROOT
from tests.support.patience import finish, moment_s
from tests.support.tigerbeetle_load import EXPIRED, LedgerLoad, crowd_out_older_sessions
from tests.support.tigerbeetle_server import (
    CLUSTER_ID,
    TigerBeetleServer,
    binary_or_skip,
    free_port,
    old_binary_or_skip,
    running_server,
)

pytestmark = pytest.mark.tigerbeetle

# A development server never sends more change events at once, whatever it is asked for.
DEVELOPMENT_PAGE = 1016
HOLDS_THAT_EXPIRE = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TigerBeetleServer]:
    """A development server whose ledger stands still once the load below is written."""
    binary = binary_or_skip()
    with running_server(tmp_path_factory.mktemp("server"), binary=binary) as running:
        yield running


@pytest.fixture(scope="module")
def load(server: TigerBeetleServer) -> Iterator[LedgerLoad]:
    """Business of every kind, in more than two of a development server's pages."""
    with LedgerLoad(server.address, server.cluster_id, seed=1) as load:
        load.hold_until_expiry(HOLDS_THAT_EXPIRE)
        load.play(40)
        load.close_an_account()
        load.open_unused_accounts(20)
        time.sleep(1.5)  # the holds expire 1 s after they were made
        yield load


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TigerBeetleServer]:
    """A development server that tests write to while they read; each with a seed of its own."""
    binary = binary_or_skip()
    with running_server(tmp_path_factory.mktemp("busy"), binary=binary) as running:
        yield running


@pytest.fixture
def source(server: TigerBeetleServer, load: LedgerLoad) -> Iterator[LedgerSource]:
    with open_ledger(server.url) as source:
        yield source


def _event_pages(source: LedgerSource) -> list[Records]:
    """Reads all pages to the empty one."""
    pages, timestamp_min = [], 0
    while data := source.change_events(timestamp_min).data:
        pages.append(records_of(data, CHANGE_EVENT_DTYPE, origin="events"))
        timestamp_min = int(pages[-1]["timestamp"][-1]) + 1
    return pages


def _events(source: LedgerSource) -> Records:
    data = b"".join(page.tobytes() for page in _event_pages(source))
    return records_of(data, CHANGE_EVENT_DTYPE, origin="events")


def _accounts(source: LedgerSource, timestamp_min: int = 0) -> Records:
    return records_of(source.accounts(timestamp_min).data, ACCOUNT_DTYPE, origin="accounts")


class TestReading:
    def test_pages_of_1016_are_read_to_the_empty_one(
        self, source: LedgerSource, load: LedgerLoad
    ) -> None:
        pages = _event_pages(source)

        *full, rest = [len(page) for page in pages]
        assert full == [DEVELOPMENT_PAGE] * 2
        assert sum(full) + rest == len(load.written) + HOLDS_THAT_EXPIRE

    def test_every_transfer_has_its_event_and_every_lapsed_hold_a_second(
        self, source: LedgerSource, load: LedgerLoad
    ) -> None:
        events = _events(source)

        made = events[events["type"] != EXPIRED]
        assert list(
            zip(
                made["timestamp"].tolist(),
                u128(made, "transfer_id"),
                made["type"].tolist(),
                strict=True,
            )
        ) == [(w.timestamp, w.transfer_id, w.event_type) for w in load.written]
        expired = events[events["type"] == EXPIRED]
        holds = [w for w in load.written if w.event_type == 1][:HOLDS_THAT_EXPIRE]
        assert u128(expired, "transfer_id") == [w.transfer_id for w in holds]
        assert expired["transfer_timestamp"].tolist() == [w.timestamp for w in holds]
        # Each of the chart's transfer codes occurs, so that other tests may count on it.
        assert sorted(set(events["transfer_code"].tolist())) == list(range(1, 12))

    def test_the_events_add_up_to_the_balances_that_the_ledger_says(
        self, source: LedgerSource, load: LedgerLoad
    ) -> None:
        said = {
            a.id: (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
            for a in load.accounts()
        }

        assert balances_of(_accounts(source)) == said
        assert without_unused(folded(_events(source))) == without_unused(said)

    def test_accounts_come_in_the_order_of_their_creation(
        self, source: LedgerSource, load: LedgerLoad
    ) -> None:
        accounts = _accounts(source)

        assert u128(accounts, "id") == load.account_ids
        # From the 50th on: the bound is inclusive.
        since = int(accounts["timestamp"][50])
        assert _accounts(source, since).tobytes() == accounts[50:].tobytes()
        assert source.accounts(int(accounts["timestamp"][-1]) + 1).data == b""

    def test_transfers_are_the_public_ones(self, source: LedgerSource, load: LedgerLoad) -> None:
        data = source.transfers(0).data

        transfers = records_of(data, TRANSFER_DTYPE, origin="transfers")
        assert transfers["timestamp"].tolist() == load.transfer_times()
        assert source.transfers(load.transfer_times()[-1] + 1).data == b""

    def test_a_range_is_closed_and_a_limit_holds(self, source: LedgerSource) -> None:
        events = _events(source)
        times = events["timestamp"].tolist()

        assert source.change_events(times[7], times[20]).data == events[7:21].tobytes()
        assert source.change_events(times[7], times[20], 5).data == events[7:12].tobytes()
        assert source.change_events(times[7], times[7]).data == events[7:8].tobytes()
        # More than a reply holds is no error: the reply holds what it can.
        assert len(source.change_events(0, limit=10**9).data) == DEVELOPMENT_PAGE * 384
        assert source.change_events(times[-1] + 1, 2**63 - 1).data == b""

    @pytest.mark.parametrize("arguments", [(-1,), (2**63,), (6, 5), (0, 0, 0)], ids=str)
    def test_a_range_that_the_server_answers_with_nothing_never_reaches_it(
        self, source: LedgerSource, arguments: tuple[int, ...]
    ) -> None:
        with pytest.raises(ValueError, match=r"timestamp_|limit"):
            source.change_events(*arguments)

    def test_the_ledgers_time_goes_on_and_is_past_what_it_shows(
        self, source: LedgerSource, load: LedgerLoad
    ) -> None:
        pages = [source.change_events(0), source.accounts(0), source.transfers(0)]

        times = [page.ledger_time_ns for page in pages]
        assert times == sorted(set(times))
        assert times[0] > load.transfer_times()[-1]

    def test_the_source_says_what_it_reads(
        self, source: LedgerSource, server: TigerBeetleServer
    ) -> None:
        assert source.cluster_id == CLUSTER_ID
        assert source.description == server.url
        assert source.release.count(".") == 2

    def test_an_account_page_shows_the_state_at_its_own_time(
        self, busy_server: TigerBeetleServer
    ) -> None:
        """While a second client writes: the sum of the events up to that time, to the unit."""
        with open_ledger(busy_server.url) as source:
            with (
                LedgerLoad(busy_server.address, busy_server.cluster_id, seed=2) as writer,
                _playing(writer),
            ):
                pages = []
                for _ in range(5):
                    pages.append(source.accounts(0))
                    time.sleep(0.05)
            events = _events(source)
        for page in pages:
            accounts = records_of(page.data, ACCOUNT_DTYPE, origin="accounts")
            until_then = folded(events, until_ns=page.ledger_time_ns)
            assert without_unused(balances_of(accounts)) == without_unused(until_then)
        # The ledger did change meanwhile.
        assert len({page.data for page in pages}) > 1

    def test_a_page_size_above_the_librarys_is_halved_until_it_fits(
        self, source: LedgerSource, server: TigerBeetleServer
    ) -> None:
        bounds = Bounds(change_events_per_page=50_000, records_per_page=20_000)
        address = Address.parse(server.address)

        with TigerBeetleSource(CLUSTER_ID, [address], bounds=bounds) as greedy:
            assert _events(greedy).tobytes() == _events(source).tobytes()
            assert greedy.accounts(0).data == source.accounts(0).data
            assert greedy.transfers(0).data == source.transfers(0).data

    def test_small_pages_are_the_same_ledger(
        self, source: LedgerSource, server: TigerBeetleServer
    ) -> None:
        bounds = Bounds(change_events_per_page=100, records_per_page=100)
        address = Address.parse(server.address)

        with TigerBeetleSource(CLUSTER_ID, [address], bounds=bounds) as small:
            assert _events(small).tobytes() == _events(source).tobytes()
            assert len(small.transfers(0).data) == 100 * 128

    def test_a_name_is_resolved(self, server: TigerBeetleServer) -> None:
        with open_ledger(f"tigerbeetle://localhost:{server.port}?cluster_id=7") as source:
            assert source.change_events(0, limit=1).ledger_time_ns > 0


@contextlib.contextmanager
def _playing(load: LedgerLoad) -> Iterator[None]:
    """Writes from another thread, without a pause, for as long as the context is open."""
    begun, is_over = threading.Event(), threading.Event()

    def play() -> None:
        while not is_over.is_set():
            load.play(1)
            begun.set()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writing = pool.submit(play)
        try:
            assert begun.wait(moment_s())
            yield
        finally:
            is_over.set()
        writing.result()


class TestOpeningFails:
    @pytest.mark.parametrize(
        ("cluster_id", "what"),
        [(CLUSTER_ID + 1, "another cluster's id"), (2**128 - 1, "the largest id there is")],
        ids=lambda value: str(value).replace(" ", "-"),
    )
    def test_a_wrong_cluster_id_is_one_error_within_seconds(
        self, server: TigerBeetleServer, cluster_id: int, what: str
    ) -> None:
        with pytest.raises(LedgerUnavailableError) as raised:
            open_ledger(
                f"tigerbeetle://{server.address}?cluster_id={cluster_id}&open_timeout_s=1.5"
            )

        assert str(raised.value) == (
            f"no TigerBeetle of cluster {cluster_id} at {server.address} answered a greeting "
            "within 1.5 s: something listens there, so the cluster id is wrong or the cluster has "
            f"no quorum ({server.address} accepts connections): check the address, the cluster id, "
            "and the other replicas"
        )

    def test_a_server_that_is_down_is_said_to_refuse(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        binary_or_skip()
        port = free_port()
        with (
            caplog.at_level(logging.DEBUG),
            pytest.raises(LedgerUnavailableError, match=rf"\(127\.0\.0\.1:{port} refuses conn"),
        ):
            open_ledger(f"tigerbeetle://127.0.0.1:{port}?cluster_id=7&open_timeout_s=1.5")

        # The library says it three times a second; a person is told once.
        refused = [r for r in caplog.records if "ConnectionRefused" in r.getMessage()]
        assert len(refused) == 1
        assert {r.levelname for r in caplog.records if r.name == "tigerbeetle"} == {"WARNING"}

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100])
    def test_a_peer_that_is_no_tigerbeetle_is_the_same_error(self, answer: bytes) -> None:
        binary_or_skip()
        with (
            _listening(answer) as port,
            pytest.raises(LedgerUnavailableError, match="accepts connections"),
        ):
            open_ledger(f"tigerbeetle://127.0.0.1:{port}?cluster_id=7&open_timeout_s=1.5")

    def test_an_address_that_swallows_packets_is_the_same_error(self) -> None:
        binary_or_skip()
        with (
            _full_backlog() as port,
            pytest.raises(LedgerUnavailableError, match=rf"\(127\.0\.0\.1:{port} does not answer"),
        ):
            open_ledger(f"tigerbeetle://127.0.0.1:{port}?cluster_id=7&open_timeout_s=1.5")

    def test_a_client_newer_than_the_cluster_is_told_which_to_install(self, tmp_path: Path) -> None:
        with running_server(tmp_path, binary=old_binary_or_skip()) as old:
            with pytest.raises(LedgerRefusedError) as raised:
                open_ledger(old.url)
            version = subprocess.run(
                [old.binary, "version"], capture_output=True, text=True, check=True
            ).stdout.split()[2]

        release = version.partition("+")[0]
        text = str(raised.value)
        assert text.startswith(f"{old.url}: the cluster ({release}) is older than this client (")
        assert f"pip install tigerbeetle=={release}" in text
        assert text.endswith("see docs/tigerbeetle-versions.md")


@contextlib.contextmanager
def _listening(answer: bytes) -> Iterator[int]:
    """A server that takes connections, and sends those bytes to each whatever it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.ExitStack() as connections, contextlib.suppress(OSError):
                while True:
                    connection = connections.enter_context(listener.accept()[0])
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextlib.contextmanager
def _full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops what comes after."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


class TestFailingInMidUse:
    def test_a_killed_server_is_an_error_in_time_and_the_source_goes_on_after_its_return(
        self, server: TigerBeetleServer, source: LedgerSource
    ) -> None:
        before = _events(source)
        with open_ledger(f"{server.url}&timeout_s=2") as impatient:
            assert impatient.change_events(0).data
            server.kill()
            try:
                for _ in range(2):
                    with pytest.raises(LedgerUnavailableError, match="refuses connections"):
                        impatient.change_events(0)
            finally:
                server.start()
            # Nothing was lost, and both sources read on: this one, and one that did not notice.
            assert _events(impatient).tobytes() == before.tobytes()
            assert _events(source).tobytes() == before.tobytes()

    def test_a_call_outlasts_a_restart_within_its_deadline(
        self, server: TigerBeetleServer, source: LedgerSource
    ) -> None:
        before = source.change_events(0).data
        server.kill()
        restart = threading.Timer(0.5, server.start)
        restart.start()

        page = source.change_events(0)

        restart.join()
        assert page.data == before

    def test_many_calls_that_time_out_do_not_end_the_process(
        self, server: TigerBeetleServer, load: LedgerLoad
    ) -> None:
        """On one client the third outstanding call would abort it."""
        with open_ledger(f"{server.url}&timeout_s=1.2") as source:
            wanted = source.change_events(0).data
            server.pause()
            try:
                for _ in range(5):
                    with pytest.raises(LedgerUnavailableError):
                        source.change_events(0)
            finally:
                server.resume()
            assert _eventually(source) == wanted

    def test_an_evicted_session_is_replaced(
        self, server: TigerBeetleServer, source: LedgerSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        wanted = source.change_events(0).data
        for _ in range(2):  # the second time, the session that replaced the first
            crowd_out_older_sessions(server.address, server.cluster_id)
            with caplog.at_level(logging.INFO):
                assert source.change_events(0).data == wanted

        evicted = [r for r in caplog.records if "continuing in a new one" in r.getMessage()]
        assert len(evicted) == 2

    def test_two_threads_at_once_are_refused(
        self, server: TigerBeetleServer, source: LedgerSource
    ) -> None:
        pages = []
        server.pause()
        try:
            reader = threading.Thread(target=lambda: pages.append(source.change_events(0)))
            reader.start()
            time.sleep(0.3)
            with pytest.raises(RuntimeError, match="is in use by another thread"):
                source.change_events(0)
        finally:
            server.resume()
        reader.join()
        assert pages == [pages[0]]
        assert source.change_events(0).data == pages[0].data

    def test_a_close_ends_the_wait_of_another_thread(
        self, server: TigerBeetleServer, source: LedgerSource
    ) -> None:
        server.pause()
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                reading = pool.submit(source.change_events, 0)
                time.sleep(0.3)
                source.close()
                with pytest.raises(RuntimeError, match="is closed"):
                    reading.result()
        finally:
            server.resume()

    def test_a_closed_source_is_closed(self, server: TigerBeetleServer) -> None:
        source = open_ledger(server.url)
        source.close()
        source.close()

        with pytest.raises(RuntimeError, match=rf"^{server.url[:20]}.* is closed$"):
            source.change_events(0)


def _eventually(source: LedgerSource) -> bytes:
    """Reads the first page, allowing a server that was frozen some tries to come back."""
    for _ in range(10):
        with contextlib.suppress(LedgerUnavailableError):
            return source.change_events(0).data
    raise AssertionError("the ledger did not come back")


class TestProcesses:
    """What happens to a whole process is shown by processes of their own."""

    def test_a_fork_is_refused_and_both_processes_live_on(
        self, server: TigerBeetleServer, load: LedgerLoad
    ) -> None:
        done = _run(
            server.url,
            """
            source = open_ledger(url)
            before = source.change_events(0).data
            child = os.fork()
            if child == 0:
                try:
                    source.change_events(0)
                except LedgerRefusedError as error:
                    print(f"refused: {error}", flush=True)
                source.close()
                with open_ledger(url) as own:
                    print("own:", own.change_events(0).data == before, flush=True)
                sys.exit(0)  # with everything that runs at exit
            print("child ended with", os.waitpid(child, 0)[1], flush=True)
            print("parent:", source.change_events(0).data == before)
            source.close()
            """,
        )

        assert done.returncode == 0
        refused, *rest = done.stdout.splitlines()
        assert refused.startswith(f"refused: {server.url}: opened by process ")
        assert refused.endswith(": open the ledger again in this process")
        assert rest == ["own: True", "child ended with 0", "parent: True"]
        assert done.stderr == ""

    def test_a_process_may_end_without_closing(
        self, server: TigerBeetleServer, load: LedgerLoad
    ) -> None:
        done = _run(
            server.url, "source = open_ledger(url); print(len(source.accounts(0).data) > 0)"
        )

        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")

    def test_ctrl_c_ends_a_wait_at_once(self, server: TigerBeetleServer, load: LedgerLoad) -> None:
        process = _start(
            server.url,
            """
            with open_ledger(url) as source:
                wanted = source.change_events(0).data
                print("waiting", flush=True)
                sys.stdin.readline()
                try:
                    source.change_events(0)
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
                sys.stdin.readline()
                print(source.change_events(0).data == wanted)
            """,
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            server.pause()
            try:
                process.stdin.write("\n")
                process.stdin.flush()
                time.sleep(0.5)
                process.send_signal(signal.SIGINT)
                # The server answers nothing before it is resumed: the call ended without it.
                assert process.stdout.readline() == "interrupted\n"
            finally:
                server.resume()
            stdout, stderr = finish(process, "\n")

        # The source goes on, in a new session: the call that was interrupted is never waited for.
        assert (process.returncode, stdout, stderr) == (0, "True\n", "")


_PREAMBLE = """
import os, sys
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.source import LedgerRefusedError
url = sys.argv[1]
"""


def _start(url: str, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
    )


def _run(url: str, code: str) -> subprocess.CompletedProcess[str]:
    with _start(url, code) as process:
        stdout, stderr = finish(process)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


class TestCapture:
    def test_a_capture_taken_while_the_ledger_goes_on_agrees_with_itself(
        self, busy_server: TigerBeetleServer, tmp_path: Path
    ) -> None:
        with (
            open_ledger(busy_server.url) as source,
            LedgerLoad(busy_server.address, busy_server.cluster_id, seed=3) as writer,
            _playing(writer),
        ):
            summary = write_capture(source, tmp_path / "capture")
            while not source.change_events(summary.ledger_time_ns + 1).data:
                time.sleep(0.01)  # the ledger does go on behind the capture

        assert summary.is_exact
        with CaptureSource(tmp_path / "capture") as capture:
            events, accounts = _events(capture), _accounts(capture)
            assert without_unused(balances_of(accounts)) == without_unused(folded(events))
            assert len(events) == summary.change_events
            assert int(events["timestamp"][-1]) <= summary.ledger_time_ns
            assert (capture.cluster_id, capture.release) == (CLUSTER_ID, source.release)

    def test_accounts_of_several_replies_agree_with_the_events_of_their_time(
        self, busy_server: TigerBeetleServer, tmp_path: Path
    ) -> None:
        bounds = Bounds(records_per_page=10)
        address = Address.parse(busy_server.address)
        with (
            TigerBeetleSource(CLUSTER_ID, [address], bounds=bounds) as small,
            LedgerLoad(busy_server.address, busy_server.cluster_id, seed=4) as writer,
            _playing(writer),
        ):
            summary = write_capture(small, tmp_path / "capture")

        assert not summary.is_exact
        with CaptureSource(tmp_path / "capture") as capture:
            events = _events(capture)
            timestamp_min, times = 0, []
            while (page := capture.accounts(timestamp_min)).data:
                accounts = records_of(page.data, ACCOUNT_DTYPE, origin="accounts")
                sums = folded(events, until_ns=page.ledger_time_ns)
                expected = {id_: sums.get(id_, (0, 0, 0, 0)) for id_ in u128(accounts, "id")}
                assert balances_of(accounts) == expected
                times.append(page.ledger_time_ns)
                timestamp_min = int(accounts["timestamp"][-1]) + 1
        assert times == sorted(set(times))
        assert times[-1] == summary.ledger_time_ns


def test_a_production_servers_pages_hold_2730(tmp_path: Path) -> None:
    with running_server(tmp_path, binary=binary_or_skip(), development=False) as production:
        with LedgerLoad(production.address, production.cluster_id, seed=5) as load:
            load.play(95)
        with open_ledger(production.url) as source:
            pages = _event_pages(source)

    assert [len(page) for page in pages] == [2730, 2730, len(load.written) - 2 * 2730]


def test_a_server_on_ipv6_is_read(tmp_path: Path) -> None:
    binary = binary_or_skip()
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with (
        running_server(tmp_path, binary=binary, host="::1") as server,
        open_ledger(server.url) as source,
    ):
        assert source.description == f"tigerbeetle://[::1]:{server.port}/?cluster_id=7"
        assert source.change_events(0).data == b""
