"""What can be known of the TigerBeetle source without a server."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from masques_pipelines.ledger.records import (
    CHANGE_EVENT_DTYPE,
    TRANSFER_DTYPE,
    PageError,
    Records,
    events_of_transfers,
    records_of,
)
from masques_pipelines.ledger.source import LedgerRefusedError, LedgerUnavailableError
from masques_pipelines.ledger.tigerbeetle import address, session
from masques_pipelines.ledger.tigerbeetle.address import (
    ACCEPTS,
    Address,
    resolve,
    trials_text,
)
from masques_pipelines.ledger.tigerbeetle.layout import (
    LayoutComparison,
    check_events_are_transfers,
)
from masques_pipelines.ledger.tigerbeetle.source import (
    Bounds,
    TigerBeetleSource,
)
from tests.support.captures import plain_bytes
from tests.support.paths import ROOT


def test_importing_the_source_does_not_load_the_client() -> None:
    code = (
        "import sys, masques_pipelines.ledger.connect;"
        "print([name for name in sys.modules if name.split('.')[0] == 'tigerbeetle'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:3000", Address("10.0.0.1", 3000)),
        ("10.0.0.1", Address("10.0.0.1", 3001)),
        ("3000", Address("127.0.0.1", 3000)),
        ("tb-0.tb.svc.cluster.local:3000", Address("tb-0.tb.svc.cluster.local", 3000)),
        ("tb_0", Address("tb_0", 3001)),
        ("[fe80:0::1]:65535", Address("fe80::1", 65535)),
        ("[::1]", Address("::1", 3001)),
        # The library refuses this form; it means the IPv4 address.
        ("[::ffff:10.0.0.1]:3000", Address("10.0.0.1", 3000)),
    ],
)
def test_an_address_is_read_as_tigerbeetle_means_it(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a host name"),
        (":3000", "'' is not a host name"),
        ("a b:3000", "'a b' is not a host name"),
        ("-a:3000", "'-a' is not a host name"),
        ("10.0.0.1:", "port '' is not a number from 1 to 65535"),
        ("10.0.0.1:0", "port '0' is not a number from 1 to 65535"),
        ("10.0.0.1:3000 ", "port '3000 ' is not a number from 1 to 65535"),
        ("65536", "port '65536' is not a number from 1 to 65535"),
        # Digits, but not those of ASCII.
        ("10.0.0.1:\u0663", "port '\u0663' is not a number from 1 to 65535"),
        ("10.0.0.1:1:2", "port '1:2' is not a number from 1 to 65535"),
        ("10.1:3000", "'10.1' is not an IPv4 address"),
        ("10.0.0.256:3000", "'10.0.0.256' is not an IPv4 address"),
        ("[10.0.0.1]:3000", "'10.0.0.1' in brackets is not an IPv6 address"),
        ("[fe80::1%eth0]:3000", "'fe80::1%eth0' has a zone (%), which the TigerBeetle client"),
        ("[::1", "an address is host:port or [ipv6]:port"),
        ("[::1]3000", "an address is host:port or [ipv6]:port"),
        ("me@host:3000", "it holds an @"),
    ],
)
def test_an_address_that_the_library_would_refuse_is_told_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Address.parse(text)

    assert str(raised.value).startswith(problem)


def test_names_become_addresses_and_addresses_stay() -> None:
    addresses = [Address("localhost", 3000), Address("10.0.0.1", 3001), Address("::1", 3002)]

    assert resolve(addresses) == "127.0.0.1:3000,10.0.0.1:3001,[::1]:3002"


def test_a_name_without_an_address_is_named() -> None:
    with pytest.raises(LedgerUnavailableError, match=r"host ledger\.invalid has no address \("):
        resolve([Address("ledger.invalid")])


def test_a_name_without_an_address_stops_no_more_than_a_dead_host_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    addresses = [Address("ledger.invalid"), Address("10.0.0.1", 3001)]
    assert resolve(addresses) == "10.0.0.1:3001"
    assert "ledger.invalid has no address" in caplog.text
    with pytest.raises(LedgerUnavailableError, match=r"ledger\.invalid has no address"):
        resolve([Address("ledger.invalid"), Address("ledger2.invalid")])


@pytest.mark.parametrize(
    ("up", "said"),
    [
        ("y", "something listens there, so the cluster id is wrong or the cluster has no quorum ("),
        ("n", "it is unreachable ("),
        ("nnn", "it is unreachable ("),
        ("ynn", "only 1 of 3 replicas answer, which is no quorum ("),
        (
            "yyn",
            "most replicas answer, so the cluster id is wrong or they are electing a primary (",
        ),
        (
            "yyy",
            "most replicas answer, so the cluster id is wrong or they are electing a primary (",
        ),
        ("yn", "only 1 of 2 replicas answer, which is no quorum ("),
        ("yyynnn", "only 3 of 6 replicas answer, which is no quorum ("),
    ],
)
def test_a_cluster_without_quorum_is_told_from_a_wrong_cluster_id(
    monkeypatch: pytest.MonkeyPatch, up: str, said: str
) -> None:
    answers = {"y": ACCEPTS, "n": "refuses connections"}
    monkeypatch.setattr(address, "connection_trial", lambda tried: answers[up[tried.port - 1]])
    assert trials_text([Address("10.0.0.1", n + 1) for n in range(len(up))]).startswith(said)


def bindings(without: str = "") -> SimpleNamespace:
    """Returns what the client's private bindings have, but for one name."""
    found = SimpleNamespace(**dict.fromkeys(session.BINDINGS))
    for owner, names in session.MEMBERS.items():
        kept = [name for name in names if f"{owner}.{name}" != without]
        setattr(found, owner, SimpleNamespace(**dict.fromkeys(kept)))
    if without in session.BINDINGS:
        delattr(found, without)
    return found


NAMES = [
    *session.BINDINGS,
    *(f"{owner}.{name}" for owner, names in session.MEMBERS.items() for name in names),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_lacks_a_private_name_is_one_line(name: str) -> None:
    with pytest.raises(LedgerRefusedError) as raised:
        session.check_client(bindings(name), "0.16.42")
    assert str(raised.value) == (
        f"the TigerBeetle client 0.16.42 has no {name}, which reading change events needs: "
        "pip install tigerbeetle==0.17.9; see docs/tigerbeetle-versions.md"
    )


def test_a_client_that_is_not_the_pinned_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    session.check_client(bindings(), session.PINNED_RELEASE)
    assert caplog.text == ""
    session.check_client(bindings(), "0.16.78")
    assert "the TigerBeetle client is 0.16.78, this project is tested with 0.17.9" in caplog.text
    assert f'"tigerbeetle=={session.PINNED_RELEASE}"' in (ROOT / "pyproject.toml").read_text()


def test_every_name_of_the_bindings_that_is_used_is_guarded() -> None:
    folder = ROOT / "masques_pipelines" / "ledger" / "tigerbeetle"
    texts = [(folder / name).read_text() for name in ("session.py", "source.py")]
    used = {name for text in texts for name in re.findall(r"bindings\.([A-Za-z_]+)", text)}
    assert used - {"OnCompletion"} <= set(session.BINDINGS)
    assert set(re.findall(r"statuses\.([A-Z_]+)", texts[1])) <= set(session.MEMBERS["PacketStatus"])
    assert set(re.findall(r"operations?\.([A-Z_]+)|Operation\.([A-Z_]+)", texts[1])) - {
        ("", "")
    } <= {(n, "") for n in session.MEMBERS["Operation"]} | {
        ("", n) for n in session.MEMBERS["Operation"]
    }


def test_no_cluster_is_opened_for_arguments_that_cannot_be() -> None:
    address = Address("127.0.0.1", 3000)

    with pytest.raises(ValueError, match="is not a valid cluster id"):
        TigerBeetleSource(2**128, [address])
    with pytest.raises(ValueError, match="is not a valid cluster id"):
        TigerBeetleSource(-1, [address])
    with pytest.raises(ValueError, match="0 addresses; a cluster has 1 to 6"):
        TigerBeetleSource(7, [])
    with pytest.raises(ValueError, match="7 addresses; a cluster has 1 to 6"):
        TigerBeetleSource(7, [address] * 7)


@pytest.mark.parametrize("name", ["timeout_s", "open_timeout_s", "change_events_per_page"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_a_bound_that_bounds_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value}, not a number above 0$"):
        Bounds(**{name: value})  # type: ignore[arg-type]


class TestEventsAreTransfers:
    """The first pages of change events are compared with the public query_transfers."""

    @pytest.fixture
    def events(self, small_capture: Path) -> Records:
        """A real page without its expiries, in memory that may be changed."""
        data = plain_bytes(small_capture / "change_events.bin.zst")
        events = records_of(data, CHANGE_EVENT_DTYPE, origin="events")
        return np.array(events[events["type"] != 4])

    @pytest.fixture
    def transfers(self, small_capture: Path) -> Records:
        data = plain_bytes(small_capture / "transfers.bin.zst")
        return records_of(data, TRANSFER_DTYPE, origin="transfers").copy()

    def test_a_real_page_passes(self, events: Records, transfers: Records) -> None:
        check_events_are_transfers(events, transfers, origin="page")

    @pytest.mark.parametrize(
        "name",
        [
            "transfer_id",
            "transfer_amount",
            "transfer_pending_id",
            "transfer_user_data_128",
            "transfer_user_data_64",
            "transfer_user_data_32",
            "transfer_timeout",
            "transfer_code",
            "transfer_flags",
            "ledger",
            "type",
            "debit_account_id",
            "credit_account_id",
            "transfer_timestamp",
        ],
    )
    def test_a_field_that_moved_is_named(
        self, events: Records, transfers: Records, name: str
    ) -> None:
        field = events[name]
        if field.dtype.names:  # the high half, which few tests would look at
            field = field["high"]
        field[700] += 1

        with pytest.raises(PageError) as raised:
            check_events_are_transfers(events, transfers, origin="page")

        assert str(raised.value) == (
            f"page: {name} of record 700 (time {int(events['timestamp'][700])}) is not what "
            "query_transfers returns: the layout of change events in this release is unknown, "
            "nothing of it was used; see docs/tigerbeetle-versions.md"
        )

    def test_events_without_their_transfers_are_of_an_unknown_layout(
        self, events: Records, transfers: Records
    ) -> None:
        # As if the time stood elsewhere in the record: no transfer has these times.
        with pytest.raises(PageError, match="2053 change events, but 2052 transfers of the same"):
            check_events_are_transfers(events, transfers[1:], origin="page")

    def test_a_transfer_without_an_event_is_of_a_ledger_that_cannot_be_copied(
        self, events: Records, transfers: Records
    ) -> None:
        with pytest.raises(PageError, match="has no change event: a ledger that was written by"):
            check_events_are_transfers(events[events["type"] != 2], transfers, origin="page")

    def test_a_transfer_imported_between_the_two_readings_is_no_fault(
        self, events: Records, transfers: Records
    ) -> None:
        transfers["flags"][5] |= 256
        others = events[events["timestamp"] != transfers["timestamp"][5]]

        check_events_are_transfers(others, transfers, origin="page")


class TestFieldsThatWereZero:
    """A field is compared when its first values come, however late."""

    def comparison(self, transfers: Records) -> LayoutComparison:
        def between(from_ns: int, to_ns: int) -> tuple[Records, bool]:
            times = transfers["timestamp"]
            return transfers[(times >= from_ns) & (times <= to_ns)], False

        return LayoutComparison(between)

    SWAPS = (
        ("transfer_timeout", "transfer_user_data_32"),
        ("transfer_pending_id", "transfer_user_data_128"),
        ("transfer_code", "transfer_flags"),
    )

    @pytest.mark.parametrize("swap", SWAPS)
    def test_two_fields_that_changed_places_are_found_where_the_first_is_filled(
        self, small_capture: Path, swap: tuple[str, str]
    ) -> None:
        data = plain_bytes(small_capture / "change_events.bin.zst")
        events = np.array(records_of(data, CHANGE_EVENT_DTYPE, origin="events"))
        events = events[events["type"] != 4]
        data = plain_bytes(small_capture / "transfers.bin.zst")
        transfers = records_of(data, TRANSFER_DTYPE, origin="transfers").copy()
        one, other = (name.removeprefix("transfer_") for name in swap)
        # A thousand in which both are zero, and then those of the server.
        first = len(events) - 1100
        for name, field in ((one, swap[0]), (other, swap[1])):
            transfers[name][:first] = np.zeros(1, transfers.dtype[name])
            events[field][:first] = np.zeros(1, events.dtype[field])
        for name in ("code", "flags"):
            events[f"transfer_{name}"][:first] = transfers[name][:first]
        events["type"][:first] = events_of_transfers(transfers[:first])["type"]
        swapped = events.copy()
        swapped[swap[0]], swapped[swap[1]] = events[swap[1]], events[swap[0]]
        comparison = self.comparison(transfers)
        comparison.check(swapped[:first], origin="page")  # nothing to see there
        with pytest.raises(PageError, match="the layout of change events in this release is unkn"):
            comparison.check(swapped[first:], origin="page")
