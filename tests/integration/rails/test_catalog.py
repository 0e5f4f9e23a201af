"""A rail is a folder and a line of the catalog: one that is added runs, is listed and rewound."""

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines import rails
from masques_pipelines.cli import masques
from masques_pipelines.errors import SettingError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.descriptor import RailContext, RailDescriptor
from masques_pipelines.rails.protocol import (
    Asset,
    Cursor,
    FetchResult,
    Found,
    Observation,
    Rejected,
)
from masques_pipelines.rails.rewind import RewindError, rewind
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.rails.settlement_ids import settlement_id
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError

NETWORK = "test:1"
COIN = Asset("coin", "COIN", 2)
HEAD = 3


class CoinRail:
    """One payment in each of the blocks 1 to HEAD."""

    name = "coin"
    network = NETWORK
    description = "coin"
    calls = 0

    def fetch(self, cursor: Cursor | None) -> FetchResult:
        after = int(cursor["block"]) if cursor else 0
        return FetchResult(
            observations=[
                Observation(
                    settlement_id=settlement_id("coin", NETWORK, str(block)),
                    source="chain",
                    rail=self.name,
                    network=NETWORK,
                    direction="in",
                    status="confirmed",
                    amount=Decimal(block),
                    currency=COIN.symbol,
                    timestamp_ns=1_795_168_800 * 10**9,
                    asset=COIN.address,
                    finality="final",
                    block_height=block,
                )
                for block in range(after + 1, HEAD + 1)
            ],
            cursor={"block": HEAD},
            is_caught_up=True,
            position=HEAD,
            behind=0,
        )

    def replay(self, rejected: Sequence[Rejected], cursor: Cursor | None) -> Found:
        del cursor
        return Found(observations=[], rejected=rejected)


@contextlib.contextmanager
def open_coin(_context: RailContext) -> Iterator[CoinRail]:
    yield CoinRail()


DESCRIPTOR = RailDescriptor(
    name="coin",
    unit="block",
    open=open_coin,
    network=lambda _configured: NETWORK,
    position=lambda cursor: int(cursor["block"]),
    rewind=lambda cursor, position: {**cursor, "block": position},
    assets=lambda _configured: {(NETWORK, COIN.address): COIN},
    normalize_payer=str.upper,
)


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch, engine_settings: Settings, tmp_path: Path
) -> Settings:
    monkeypatch.setattr(catalog, "RAILS", (*catalog.RAILS, DESCRIPTOR))
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    return read_settings()


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(masques, ["rails", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_rail_that_is_added_runs_is_listed_and_is_rewound(
    warehouse: Warehouse, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="masques_pipelines")
    assert re.search(r"^coin +on \(test:1\)$", invoke("status"), re.MULTILINE)
    done = ingest_all(warehouse, settings)
    others = catalog.places(settings)[:-1]
    assert [(each.rail, each.disabled_reason, each.error) for each in done.outcomes] == [
        *((each.name, each.disabled_reason or "", "") for each in others),
        ("coin", "", ""),
    ]
    assert done.rows_written == HEAD
    messages = [each.getMessage() for each in caplog.records if each.name.startswith("masques")]
    assert "base is off: MASQUES_BASE_RPC_URL is not set" in messages
    assert messages[-1].startswith(
        "coin: 3 revisions from 3 observations, at 3 (0 behind), 0 calls in "
    )
    assert "coin       on (test:1)\n  read to block 3, head 3, 0 behind\n" in invoke("status")

    assert "coin: was at block 3; the next run continues from block 1" in invoke(
        "rewind", "coin", "1"
    )
    again = ingest_all(warehouse, settings).outcomes[-1].run
    assert again is not None
    assert (again.observations, again.revisions, again.position) == (2, 0, HEAD)
    assert catalog.allow_list(settings).rail_of(NETWORK) == "coin"
    assert catalog.allow_list(settings).assets[NETWORK, COIN.address] == COIN

    account = "00000000-0000-0000-0000-0000000000c8"
    invoke(
        *("register", "--rail", "coin", "--address", "abc", "--account", account),
        *("--from", "2026-01-01"),
    )
    assert warehouse.rows("SELECT rail, address FROM masques_ops.payer_addresses FINAL") == [
        ("coin", "ABC")
    ]


def test_a_rail_that_is_off_or_cannot_rewind_says_so(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(SettingError, match="MASQUES_BASE_RPC_URL is not set: the rail base is off"),
        catalog.open_rail(
            settings, catalog.place(settings, "base"), lambda *, after="", limit=0: []
        ),
    ):
        pass
    fixed = dataclasses.replace(DESCRIPTOR, name="fixed", rewind=None)
    monkeypatch.setattr(catalog, "RAILS", (*catalog.RAILS, fixed))
    with pytest.raises(RewindError, match="fixed: its cursor cannot be moved back"):
        rewind(warehouse, settings, "fixed", 0)
    result = CliRunner().invoke(masques, ["rails", "rewind", "moon", "0"])
    assert result.exit_code == 2
    assert "'moon' is not one of " in result.output


class UnopenedRail(CoinRail):
    def __init__(self) -> None:
        raise UnicodeError(f"at opening: {CANARY}")


@contextlib.contextmanager
def open_nothing(_context: RailContext) -> Iterator[CoinRail]:
    yield UnopenedRail()


CANARY = "CANARY-5c1d2e3f4a5b6c7d"
# What calls on outside data raise, and more.
RAISED = [
    *(kind(CANARY) for kind in (KeyError, TypeError, ValueError, IndexError, AttributeError)),
    *(kind(CANARY) for kind in (OverflowError, RecursionError, AssertionError, ArithmeticError)),
    *(kind(CANARY) for kind in (OSError, MemoryError, RuntimeError, StopIteration, Exception)),
]


@pytest.mark.parametrize("raised", [*RAISED, None], ids=lambda each: type(each).__name__)
def test_whatever_a_rail_raises_the_others_are_read(
    warehouse: Warehouse,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    raised: Exception | None,
) -> None:
    class BrokenRail(CoinRail):
        def fetch(self, cursor: Cursor | None) -> FetchResult:
            assert raised is not None
            raise raised

    @contextlib.contextmanager
    def open_broken(_context: RailContext) -> Iterator[CoinRail]:
        yield BrokenRail()

    opened = open_nothing if raised is None else open_broken
    broken = dataclasses.replace(DESCRIPTOR, name="broken", open=opened)
    monkeypatch.setattr(catalog, "RAILS", (broken, DESCRIPTOR))
    done = ingest_all(warehouse, settings)
    failed, good = done.outcomes
    kind = "UnicodeError" if raised is None else type(raised).__name__
    # A generator's StopIteration becomes a RuntimeError on its way.
    assert re.match(rf"unexpected ({kind}|RuntimeError) at ", failed.error)
    assert (good.error, done.rows_written) == ("", HEAD)
    assert warehouse.rows(
        "SELECT rail, state, problem = {problem:String} FROM masques_ops.rail_runs ORDER BY rail",
        {"problem": failed.error},
    ) == [("broken", "failed", True), ("coin", "read", False)]
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [
        f"broken failed: {failed.error}"
    ]
    assert CANARY not in failed.error + caplog.text + invoke("status")


def test_a_failure_of_the_warehouse_ends_the_run(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_arguments: object, **_named: object) -> None:
        raise WarehousePermanentError("the table is gone")

    monkeypatch.setattr("masques_pipelines.rails.revisions.append", lost)
    with pytest.raises(WarehousePermanentError):
        ingest_all(warehouse, settings)


def test_a_payment_without_a_time_is_quarantined_and_the_rest_is_kept(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimelessRail(CoinRail):
        def fetch(self, cursor: Cursor | None) -> FetchResult:
            fetched = super().fetch(cursor)
            times = (0, 10**30, 1_795_168_800 * 10**9)
            seen = [
                dataclasses.replace(each, timestamp_ns=at)
                for each, at in zip(fetched.observations, times, strict=True)
            ]
            return dataclasses.replace(
                fetched, observations=seen, read_to_ns=1_795_168_800_123_456_789
            )

    @contextlib.contextmanager
    def open_timeless(_context: RailContext) -> Iterator[CoinRail]:
        yield TimelessRail()

    monkeypatch.setattr(catalog, "RAILS", (dataclasses.replace(DESCRIPTOR, open=open_timeless),))
    done = ingest_all(warehouse, settings)
    assert (done.rows_written, done.outcomes[0].error) == (1, "")
    assert warehouse.rows("SELECT reason FROM masques_ops.quarantine") == [
        ("out_of_range:timestamp",),
        ("out_of_range:timestamp",),
    ]
    # Up to when the rail was read, to the nanosecond; a rewind forgets it.
    read_to = "SELECT toUnixTimestamp64Nano(read_to) FROM masques_ops.rail_cursors FINAL"
    assert warehouse.rows(read_to) == [(1_795_168_800_123_456_789,)]
    rewind(warehouse, settings, "coin", 1)
    assert warehouse.rows(read_to) == [(None,)]


def test_every_folder_of_a_rail_is_in_the_catalog_and_nothing_else_names_a_rail() -> None:
    folder = Path(rails.__path__[0])
    names = sorted(each.parent.name for each in folder.glob("*/rail.py"))
    assert sorted(each.name for each in catalog.RAILS) == names
    pattern = re.compile(rf"""["']({"|".join(names)})["']|rails\.({"|".join(names)})\b""")
    found = {path.name for path in folder.glob("*.py") if pattern.search(path.read_text("utf-8"))}
    # Ids are text that never changes; x402 version 1 names networks by the names of rails.
    assert found == {"catalog.py", "settlement_ids.py"}
