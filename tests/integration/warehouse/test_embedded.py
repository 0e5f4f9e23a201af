"""Opening and using the embedded warehouse: who holds it, what it returns, what it refuses."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from masques_pipelines.errors import SettingError
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse import embedded
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import (
    WarehouseBusyError,
    WarehousePermanentError,
    WarehouseServedError,
    WarehouseTransientError,
)
from masques_pipelines.warehouse.spool import Spool
from tests.support.patience import run_python

HOLD_THE_WAREHOUSE = """
import sys
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.client import Origin
with open_warehouse(read_settings({"MASQUES_HOME": sys.argv[1]}), origin=Origin(job="holder")):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process_holds(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has the warehouse open until it reads a line, or is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_WAREHOUSE, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def settings_for(home: Path) -> Settings:
    return read_settings({"MASQUES_HOME": str(home)})


def test_a_second_process_waits_and_is_told_who_holds_the_warehouse(tmp_path: Path) -> None:
    # Only the lock is tried: this process's engine serves another folder.
    with another_process_holds(tmp_path) as holder:
        with (
            pytest.raises(WarehouseBusyError) as raised,
            open_warehouse(settings_for(tmp_path), origin=Origin(), lock_timeout_s=0.3),
        ):
            pass
        text = str(raised.value)
    assert f"in use by process {holder.pid} (-c" in text
    assert "MASQUES_CLICKHOUSE_URL" in text
    assert "\n" not in text


def test_who_waits_for_the_lock_asks_the_process_that_serves_instead(tmp_path: Path) -> None:
    folder = tmp_path / "warehouse"
    asked: list[int] = []

    def is_served() -> bool:
        asked.append(1)
        return len(asked) == 3

    with (
        another_process_holds(tmp_path),
        pytest.raises(WarehouseServedError),
        embedded.open_embedded(folder, lock_timeout_s=600, is_served=is_served),
    ):
        pass
    assert len(asked) == 3


def test_the_lock_of_a_killed_process_is_free_at_once_and_its_leftovers_are_swept(
    tmp_path: Path,
) -> None:
    with another_process_holds(tmp_path) as holder:
        inserts = embedded.inserts_folder(tmp_path / "warehouse")
        (inserts / "left-by-a-kill.raw").write_bytes(b"half a page")
        holder.kill()
        holder.wait()
        # Rows that a living process keeps for one that serves the warehouse are no leftovers.
        with Spool(inserts) as spool, another_process_holds(tmp_path):
            assert list(inserts.iterdir()) == [Path(spool.path())]


def test_two_clients_of_one_process_share_the_warehouse(
    warehouse: Warehouse, engine_settings: Settings
) -> None:
    warehouse.insert_rows("masques.identities", ["display_name"], [["a"]])
    with open_warehouse(engine_settings, origin=Origin(), lock_timeout_s=0) as second:
        assert second.scalar("SELECT count() FROM masques.identities") == 1


def test_every_query_carries_who_asks(warehouse: Warehouse) -> None:
    asking = warehouse.for_origin(Origin(run_id="r-1", asset_key="masques/accounts", job="j"))
    comment = asking.scalar("SELECT getSetting('log_comment')")
    assert json.loads(comment) == {"run_id": "r-1", "asset_key": "masques/accounts", "job": "j"}


def test_memory_is_bounded(warehouse: Warehouse) -> None:
    limit = warehouse.scalar(
        "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"
    )
    assert limit == embedded.ENGINE_OPTIONS["max_server_memory_usage"]


def test_refreshable_views_stay_stopped_in_a_newly_opened_warehouse(tmp_path: Path) -> None:
    # An embedded engine forgets its refreshes: every open would run every view at once.
    code = (
        HOLD_THE_WAREHOUSE.replace(
            'print("held", flush=True)',
            "from masques_pipelines.schema.migrations import migrate; migrate(w); "
            'print(w.scalar("SELECT status FROM system.view_refreshes"), flush=True)',
        )
        .replace('job="holder")):', 'job="holder")) as w:')
        .replace("    sys.stdin.readline()\n", "")
    )
    status = [run_python(code, str(tmp_path)).stdout.strip() for _ in range(2)]
    assert status[1] == "Disabled"


def test_a_frame_is_exact_and_aware(warehouse: Warehouse) -> None:
    frame = warehouse.frame(
        "SELECT fromUnixTimestamp64Nano(toInt64(1790000000123456789), 'UTC') AS at, "
        "toDecimal256('99999999999999999999999999999999999999.000000000000000001', 18) AS money, "
        "toUUID('00000000-0000-0000-0000-0000000000ff') AS id, map('a', 'b') AS m"
    )
    assert frame["at"].iloc[0] == pd.Timestamp(1790000000123456789, tz="UTC")
    assert frame["money"].iloc[0] == Decimal(
        "99999999999999999999999999999999999999.000000000000000001"
    )
    assert frame["id"].iloc[0] == uuid.UUID(int=255)
    assert frame["m"].iloc[0] == {"a": "b"}


def test_a_frame_without_rows_still_has_its_columns(warehouse: Warehouse) -> None:
    frame = warehouse.frame(
        "SELECT account_id, balance FROM masques.accounts WHERE ledger = {ledger:UInt32}",
        {"ledger": 9},
    )
    assert (list(frame.columns), len(frame)) == (["account_id", "balance"], 0)


def test_a_lasting_error_names_the_statement_on_one_line(warehouse: Warehouse) -> None:
    with pytest.raises(WarehousePermanentError) as raised:
        warehouse.rows("-- a comment first\nSELECT nothing\nFROM masques.nowhere")
    assert raised.value.code == 60
    assert ": SELECT nothing FROM masques.nowhere: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_scalar_of_no_row_is_an_error_of_ours(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="gave 0 rows, expected one"):
        warehouse.scalar("SELECT 1 WHERE 0")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("chdb://relative/folder", "an embedded warehouse needs an absolute folder"),
        ("chdb:///", "an embedded warehouse needs an absolute folder"),
        ("chdb:///a?b=c", "chdb:// takes no options"),
        ("clickhouse://h:9000", "the scheme is 'clickhouse'; use chdb:///absolute/folder, or http"),
        ("h:8123", "the scheme is 'h'"),
        ("http://h:port", "the port is not a number"),
        ("http://h:99999", "the port is not a number"),
        ("http://", "it names no host"),
        ("http://h/masques", "remove the path '/masques'"),
        ("http://h?compress=1", "unknown option 'compress'"),
        ("https://h?ca_cert=/nope", "ca_cert names no file (/nope)"),
        ("https://h?ca_cert=/etc/hostname", "ca_cert (/etc/hostname) cannot be used"),
        ("https://h?client_cert=/etc/hostname", "client_cert (/etc/hostname) cannot be used"),
        ("https://h?client_cert_key=/etc/hostname", "client_cert_key is of no use without"),
    ],
)
def test_a_bad_url_is_one_line_that_names_the_setting(url: str, message: str) -> None:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": url})
    with pytest.raises(SettingError) as raised, open_warehouse(settings, origin=Origin()):
        pass
    assert str(raised.value).startswith(f"MASQUES_CLICKHOUSE_URL: {message}")


def test_the_embedded_warehouse_is_no_cluster(tmp_path: Path) -> None:
    settings = read_settings({"MASQUES_HOME": str(tmp_path), "MASQUES_CLICKHOUSE_CLUSTER": "main"})
    with (
        pytest.raises(SettingError, match="MASQUES_CLICKHOUSE_CLUSTER: the embedded"),
        open_warehouse(settings, origin=Origin()),
    ):
        pass


def test_an_unreachable_server_is_a_clear_error_within_seconds() -> None:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": "http://me:secret@127.0.0.1:9"})
    with (
        pytest.raises(WarehouseTransientError) as raised,
        open_warehouse(settings, origin=Origin()),
    ):
        pass
    text = str(raised.value)
    assert text.startswith("http://127.0.0.1:9: cannot connect (is MASQUES_CLICKHOUSE_URL")
    assert "secret" not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = settings_for(tmp_path / "file")
    with (
        pytest.raises(WarehousePermanentError, match="file/warehouse: the warehouse folder cannot"),
        open_warehouse(settings, origin=Origin()),
    ):
        pass
