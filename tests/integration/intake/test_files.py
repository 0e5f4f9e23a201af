"""A file's trouble is that file's trouble, and nothing is passed over in silence."""

import contextlib
import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.intake.replay import replay
from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.landing.chunks import Chunk
from masques_pipelines.landing.file_log import (
    ATTEMPTS_MAX,
    GROUP_FILES,
    FileLog,
    _may_be_a_file,
)
from masques_pipelines.landing.listing import list_folder
from masques_pipelines.landing.zone import (
    FOLDERS,
    Landing,
    LandingMissingError,
    LandingUnavailableError,
    read_lines,
)
from masques_pipelines.quarantine import Selection
from masques_pipelines.rails.journal import rail as journal
from masques_pipelines.reputation import rates
from masques_pipelines.reputation.rates import load_rates
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError, WarehouseTransientError
from masques_pipelines.warehouse.sql import sql
from tests.campaigns.intake_files import run
from tests.support.campaign import rounds
from tests.support.gate_rows import ndjson, request
from tests.support.landing_zone import Zone, counts, in_quarantine, undocumented
from tests.support.odd_entries import FAULTS, FaultyStore, drop_odd

REQUESTS = TABLES["api_requests"]


def states(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    """What the log says of each file: its state, and the reason."""
    return {
        path: (state, problem.partition(":")[0])
        for path, state, problem in warehouse.rows(
            "SELECT path, toString(state), problem FROM masques_ops.intake_files FINAL"
        )
    }


def passed_over(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(sql("intake/passed_over"))


def names(done: IntakeResult) -> list[str]:
    return [result.path.split("/", 1)[1] for result in done.files]


def test_every_folder_has_one_reader() -> None:
    assert sorted(FOLDERS) == sorted([*TABLES, rates.FOLDER, journal.FOLDER])


def test_odd_entries_stop_nothing_and_are_all_told_of(warehouse: Warehouse, zone: Zone) -> None:
    odd = drop_odd(zone.folder / "api_requests")
    bad = os.fsdecode(b"b\xff.ndjson")
    for n, name in enumerate(["a.ndjson", "m.ndjson", "z.ndjson", bad]):
        zone.drop(f"api_requests/{name}", ndjson([request(n)]))
    zone.drop("api_request/day.ndjson", ndjson([request(9)]))
    done = zone.load(warehouse)
    assert counts(done) == {"rows_read": 3, "loaded": 3}
    shown = "api_requests/b\\udcff.ndjson"
    assert in_quarantine(warehouse) == [(shown, 0, "bad_name")]
    found = states(warehouse)
    assert {path.split("/")[1]: why for path, (state, why) in found.items() if why} == {
        **odd,
        "b\\udcff.ndjson": "bad_name",
        "day.ndjson": "unknown_folder",
    }
    assert Counter(state for state, _ in found.values()) == {
        "passed_over": len(odd) + 1,
        "loaded": 3,
        "failed": 1,
    }
    told = {(folder, reason): files for folder, reason, files, _ in passed_over(warehouse)}
    wanted = Counter(("api_requests", why) for why in odd.values() if why != "hidden")
    assert told == {**wanted, ("(no reader)", "unknown_folder"): 1}
    assert b"hunter2" not in warehouse.text("SELECT * FROM masques_ops.quarantine").encode()

    # A second run changes nothing; what goes is not told of any more.
    assert counts(zone.load(warehouse)) == {}
    assert states(warehouse) == found
    shutil.rmtree(zone.folder / "api_request")
    for name in odd:
        (zone.folder / "api_requests" / name).unlink()
    zone.load(warehouse)
    assert passed_over(warehouse) == []
    assert Counter(state for state, _ in states(warehouse).values())["gone"] == len(odd) + 1


def test_one_file_that_the_store_does_not_give_stops_nothing_and_is_tried_a_bounded_number_of_times(
    warehouse: Warehouse,
) -> None:
    store = FaultyStore()
    files = {f"{n:02}.ndjson": ndjson([request(n)]) for n in range(2 * len(FAULTS) + 2)}
    landing = store.put_files({f"api_requests/{name}": data for name, data in files.items()})
    store.fails = {
        f"{2 * n + later:02}.ndjson": (error, ("open", "read")[later])
        for n, error in enumerate(FAULTS)
        for later in (0, 1)
    }
    done = load_table(warehouse, landing, REQUESTS, settle_s=-1)
    assert (len(done.files), done.files_failed) == (len(files), len(store.fails))
    # What was read before the store failed is less than a line.
    assert done.total("loaded") == 2
    reasons = {reason for _, line, reason in in_quarantine(warehouse) if line == 0}
    assert reasons == {"cannot_be_read", "vanished"}
    for _ in range(ATTEMPTS_MAX + 1):
        store.opened.clear()
        load_table(warehouse, landing, REQUESTS, settle_s=-1)
    assert store.opened == []
    assert warehouse.rows(
        "SELECT DISTINCT attempts FROM masques_ops.intake_files FINAL WHERE state = 'failed'"
    ) == [(ATTEMPTS_MAX,)]
    # A person who mends it has it read again.
    store.fails = {}
    replayed = replay(warehouse, landing, Selection())
    assert (replayed.tried, replayed.closed) == (len(files) - 2, len(files) - 2)
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == len(files)


def test_a_store_that_fails_as_a_whole_costs_no_file_an_attempt(warehouse: Warehouse) -> None:
    store = FaultyStore()
    landing = store.put_files({"api_requests/a.ndjson": ndjson([request(1)])})
    store.fails = {"a.ndjson": (OSError(errno.ETIMEDOUT, "timed out"), "open")}
    gone = OSError(errno.ETIMEDOUT, "timed out")
    store.listing_of = lambda _path: gone if store.opened else None
    for _ in range(ATTEMPTS_MAX + 1):
        store.opened.clear()
        with pytest.raises(LandingUnavailableError, match="cannot be listed"):
            load_table(warehouse, landing, REQUESTS, settle_s=-1)
    store.fails, store.opened = {}, []
    store.listing_of = lambda _path: None
    assert counts(load_table(warehouse, landing, REQUESTS, settle_s=-1)) == {
        "rows_read": 1,
        "loaded": 1,
    }


class Killed(BaseException):
    """The process is gone: nothing after it is written."""


@pytest.fixture
def bombs(monkeypatch: pytest.MonkeyPatch) -> dict[str, BaseException]:
    """Files whose reading ends the run, by name."""
    found: dict[str, BaseException] = {}
    give_back = FileLog.give_back

    def read(landing: Landing, file: Any, *more: Any) -> Iterator[Chunk]:
        error = found.get(file.path.split("/")[-1])
        for chunk in read_lines(landing, file, *more):
            if error is not None:
                raise error
            yield chunk

    def not_of_the_dead(log: FileLog, files: Any) -> None:
        if not any(isinstance(each, Killed) for each in found.values()):
            give_back(log, files)

    monkeypatch.setattr("masques_pipelines.intake.run.read_lines", read)
    monkeypatch.setattr(FileLog, "give_back", not_of_the_dead)
    return found


def test_files_that_killed_two_runs_are_set_aside_before_they_are_touched_again(
    warehouse: Warehouse, zone: Zone, bombs: dict[str, BaseException]
) -> None:
    number = 2
    for n in range(6):
        zone.drop(f"api_requests/{n}.ndjson", ndjson([request(n)]))
    bombs |= {f"{n}.ndjson": Killed() for n in (2, 4)}
    deaths = 0
    for _ in range(5):
        try:
            zone.load(warehouse)
        except Killed:
            deaths += 1
            zone.drop(f"api_requests/late{deaths}.ndjson", ndjson([request(10 + deaths)]))
    # One run for all together, one for each that kills it by itself.
    assert deaths == 1 + number
    aside = [f"api_requests/{name}" for name in bombs]
    assert in_quarantine(warehouse) == [(path, 0, "stopped_the_run_twice") for path in aside]
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 6 + deaths - number
    bombs.clear()
    assert replay(warehouse, zone.landing, Selection()).closed == number
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 6 + deaths
    assert {state for state, _ in states(warehouse).values()} == {"loaded"}


ERRORS: list[tuple[BaseException, bool]] = [
    (SystemExit(143), False),
    (WarehousePermanentError("memory", code=241), True),
    (KeyboardInterrupt(), False),
    (WarehouseTransientError("down", code=210), False),
    (WarehousePermanentError("no right", code=497), False),
    (WarehousePermanentError("too deep", code=306), True),
    (AssertionError("a fault of ours"), True),
]


@pytest.mark.parametrize(("error", "is_the_file"), ERRORS, ids=str)
def test_an_error_is_about_what_a_file_holds_or_not(
    error: BaseException, is_the_file: bool
) -> None:
    assert _may_be_a_file(error) is is_the_file


@pytest.mark.parametrize(("error", "is_the_file"), ERRORS[:2], ids=str)
def test_what_is_not_about_a_file_does_not_count_against_it(
    warehouse: Warehouse,
    zone: Zone,
    bombs: dict[str, BaseException],
    error: BaseException,
    is_the_file: bool,
) -> None:
    for n in range(3):
        zone.drop(f"api_requests/{n}.ndjson", ndjson([request(n)]))
    bombs["1.ndjson"] = error
    for _ in range(3):
        with contextlib.suppress(type(error)):
            zone.load(warehouse)
    found = [reason for _, _, reason in in_quarantine(warehouse)]
    assert found == (["stopped_the_run_twice"] if is_the_file else [])
    bombs.clear()
    zone.load(warehouse)
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 3 - is_the_file


def test_files_are_begun_in_groups_and_suspects_one_by_one(
    warehouse: Warehouse, zone: Zone
) -> None:
    for n in range(GROUP_FILES + 3):
        zone.drop(f"api_requests/{n:04}.ndjson", b"")
    log = FileLog(warehouse, "api_requests")
    files = list_folder(zone.landing, "api_requests", settle_s=-1).files
    groups = log.begun(files)
    assert len(next(groups)) == GROUP_FILES  # and the run is killed
    sizes = [len(group) for group in FileLog(warehouse, "api_requests").begun(files[-5:])]
    assert sizes == [3, 1, 1]


def test_a_file_rewritten_in_place_is_read_again_and_told_of(
    warehouse: Warehouse, zone: Zone
) -> None:
    path = zone.drop("api_requests/a.ndjson", ndjson([request(1)]))
    other = zone.drop("api_requests/b.ndjson", ndjson([request(2)]))
    os.utime(path, (1000, 1000))
    zone.load(warehouse)
    path.write_bytes(ndjson([request(3)]))
    os.utime(path, (1000, 1000))
    other.touch()  # another time, the same bytes
    done = zone.load(warehouse)
    assert (counts(done), done.files_rewritten) == ({"rows_read": 1, "loaded": 1}, 1)
    assert [(result.path, result.state) for result in done.files] == [
        ("api_requests/a.ndjson", "loaded"),
        ("api_requests/b.ndjson", "same"),
    ]
    assert passed_over(warehouse) == [
        ("api_requests", "rewritten_in_place", 1, "api_requests/a.ndjson")
    ]


def test_a_landing_zone_that_is_missing_is_an_error(warehouse: Warehouse, zone: Zone) -> None:
    with pytest.raises(LandingMissingError, match="there is no landing zone: create that folder"):
        zone.load(warehouse)
    with pytest.raises(LandingMissingError, match="there is no landing zone"):
        load_rates(warehouse, read_settings({"MASQUES_LANDING_URL": str(zone.folder)}))
    zone.folder.mkdir()
    assert counts(zone.load(warehouse)) == {}


def test_rates_are_read_by_the_same_rules(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = zone.folder / "exchange_rates"
    odd = drop_odd(folder)
    rate = '{"currency": "%s", "quoted_at": "2026-11-20T00:00:00Z", "usd": "1"}\n'
    for name in ("a", "b", os.fsdecode(b"\xff")):
        (folder / f"{name}.ndjson").write_text(rate % ascii(name).strip("'\\"))
    opened: list[str] = []
    real_open = Landing.open

    def fails(landing: Landing, path: str) -> Any:
        opened.append(path)
        if path.endswith("a.ndjson"):
            raise RuntimeError("403")
        return real_open(landing, path)

    monkeypatch.setattr(Landing, "open", fails)
    settings = read_settings({"MASQUES_LANDING_URL": str(zone.folder)})
    done = load_rates(warehouse, settings, settle_s=-1)
    assert (done.rows_written, done.bad_rows, len(done.passed_over)) == (1, 2, len(odd))
    for _ in range(ATTEMPTS_MAX + 1):
        load_rates(warehouse, settings, settle_s=-1)
    assert opened.count("exchange_rates/a.ndjson") == ATTEMPTS_MAX
    assert in_quarantine(warehouse) == [
        ("exchange_rates/\\udcff.ndjson", 0, "bad_name"),
        ("exchange_rates/a.ndjson", 0, "cannot_be_read"),
    ]
    told = {reason for folder, reason, *_ in passed_over(warehouse) if folder == "exchange_rates"}
    assert told == {*odd.values()} - {"hidden"}


@pytest.mark.parametrize("seed", [1])
def test_fuzzed_files_end_in_one_way_each(warehouse: Warehouse, tmp_path: Path, seed: int) -> None:
    outcome = run(warehouse, tmp_path / "landing", files=rounds(60), seed=seed)
    assert outcome.faults == []
    assert outcome.ended["loaded"] > 20
    assert min(outcome.ended["failed"], outcome.ended["passed_over"]) > 3
    assert undocumented(reason.rpartition(" ")[2] for reason in outcome.reasons) == []
