"""The journal's files: growing, replaced, half written, and lines that cannot be read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from masques_pipelines.landing.zone import Landing
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.journal import rail as journal
from masques_pipelines.rails.journal.rail import JournalRail
from masques_pipelines.rails.protocol import AssetAllowList, RailRefusedError
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.rails.conftest import landing_at
from tests.support.bolt11 import challenge

KNOWN = AssetAllowList({}, {"bip122:000000000019d6689c085ae165831e93": "lightning"})
AT_S = 1_795_168_800


def line(number: int, **more: Any) -> str:
    return json.dumps({**challenge(f"{number:064x}", 1000, AT_S + number), **more}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "settlement_journal"
    folder.mkdir()
    return folder


def poll(warehouse: Warehouse, folder: Path) -> RailRun:
    return ingest(warehouse, JournalRail(landing_at(folder.parent), KNOWN))


def hashes(warehouse: Warehouse) -> list[int]:
    rows = warehouse.rows("SELECT payment_ref FROM masques.settlements ORDER BY payment_ref")
    return [int(row[0], 16) for row in rows]


def test_a_growing_file_is_read_from_where_it_was_left(warehouse: Warehouse, folder: Path) -> None:
    path = folder / "gate.ndjson"
    path.write_text(line(1) + line(2)[:40])  # the gate is writing the second line
    assert poll(warehouse, folder).revisions == 1
    path.write_text(line(1) + line(2) + line(3).rstrip("\n"))
    assert poll(warehouse, folder).revisions == 1  # the third has no line break yet
    assert poll(warehouse, folder).revisions == 1  # and has not changed since: nobody is writing
    assert poll(warehouse, folder).observations == 0
    assert hashes(warehouse) == [1, 2, 3]


def test_other_names_wait_a_replaced_file_is_read_anew_and_a_second_delivery_is_nothing(
    warehouse: Warehouse, folder: Path
) -> None:
    (folder / ".gate.ndjson").write_text(line(1))
    (folder / "gate.ndjson.part").write_text(line(1))
    (folder / "deeper").mkdir()
    assert poll(warehouse, folder).observations == 0
    (folder / "a.ndjson").write_text(line(1) + line(2))
    (folder / "b.jsonl").write_text("\n" + line(2) + line(3))  # the second again
    assert poll(warehouse, folder).revisions == 3
    (folder / "a.ndjson").write_text(line(4))  # shorter: another file under the same name
    (folder / "b.jsonl").unlink()
    assert poll(warehouse, folder).revisions == 1
    assert hashes(warehouse) == [1, 2, 3, 4]


def test_lines_that_cannot_be_read_are_quarantined_once_and_stop_nothing(
    warehouse: Warehouse, folder: Path
) -> None:
    secret = "5e" * 32
    bad = [
        '{"recorded_at": 1, "preimage": "' + secret + "\n",
        json.dumps({"recorded_at": "never", "macaroon": secret}) + "\n",
        line(9, headers={"Authorization": f"L402 {secret}:{secret}"}),
    ]
    (folder / "gate.ndjson").write_text(line(1) + "".join(bad) + line(2))
    assert poll(warehouse, folder).rejected == 3
    warehouse.command("TRUNCATE TABLE masques_ops.rail_cursors")
    poll(warehouse, folder)  # all of it again
    (source,) = {row[0] for row in warehouse.rows("SELECT source FROM masques_ops.quarantine")}
    assert re.fullmatch(r"settlement_journal/gate\.ndjson@[0-9a-f]{8}", source)
    assert warehouse.rows(
        "SELECT table_name, source, line_no, reason, attempts, state "
        "FROM masques_ops.quarantine FINAL ORDER BY line_no"
    ) == [
        ("settlements", source, 2, "invalid_json:line", 2, "open"),
        ("settlements", source, 3, "bad_timestamp:recorded_at", 2, "open"),
        ("settlements", source, 4, "bad_l402:token", 2, "open"),
    ]
    assert secret not in warehouse.text("SELECT * FROM masques_ops.quarantine", fmt="JSONEachRow")
    assert hashes(warehouse) == [1, 2]


def test_a_long_journal_is_read_in_steps(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BYTES_PER_FETCH", 4000)
    (folder / "gate.ndjson").write_text("".join(line(number) for number in range(1, 31)))
    done = poll(warehouse, folder)
    assert done.fetches > 2
    assert hashes(warehouse) == list(range(1, 31))


def test_lines_of_a_clock_that_jumps_through_the_years_end_no_run(
    warehouse: Warehouse, folder: Path
) -> None:
    """Tables have a partition for each month, and an insert may have a hundred of them."""
    month_s = 31 * 86_400
    (folder / "gate.ndjson").write_text(
        "".join(line(n, recorded_at=1_580_000_000 + n * month_s) for n in range(1, 301))
    )
    done = poll(warehouse, folder)
    assert (done.observations, done.rejected) == (300, 0)
    assert len(hashes(warehouse)) == 300
    assert warehouse.scalar("SELECT count() FROM masques_ops.journal_events FINAL") > 150


def test_a_missing_folder_is_an_empty_journal_and_a_missing_zone_is_refused(
    warehouse: Warehouse, folder: Path
) -> None:
    folder.rmdir()
    assert poll(warehouse, folder).observations == 0
    with pytest.raises(RailRefusedError, match=r"nowhere: there is no landing zone: create"):
        poll(warehouse, folder.parent / "nowhere" / "settlement_journal")


def test_a_zone_that_cannot_be_listed_is_refused(warehouse: Warehouse) -> None:

    class Locked(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        def ls(self, path: str, **_more: Any) -> Any:
            raise PermissionError(path)

        def exists(self, path: str, **_more: Any) -> bool:
            return True

    locked = Landing(Locked(), "/landing", "s3://landing")
    with pytest.raises(
        RailRefusedError, match=r"^s3://landing/settlement_journal: .*check MASQUES_LANDING_URL"
    ):
        ingest(warehouse, JournalRail(locked, KNOWN))


def test_a_landing_zone_of_no_known_kind_fails_the_journal_alone_and_shows_no_password(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    done = ingest_all(
        warehouse,
        read_settings(
            {
                "MASQUES_HOME": str(tmp_path),
                "MASQUES_LANDING_URL": "nosuch://user:password@host/landing",
            }
        ),
    )
    errors = {each.rail: each.error for each in done.outcomes if each.error}
    assert list(errors) == ["journal"]
    assert errors["journal"].startswith("MASQUES_LANDING_URL: there is no file system for nosuch")
    assert "password" not in errors["journal"]
