"""Reload: what is recorded of files is forgotten, and they are loaded again."""

import gzip
from contextlib import suppress
from typing import Any

import pytest

from masques_pipelines.intake import reload, restore
from masques_pipelines.intake.loader import Loader
from masques_pipelines.intake.reload import FileNotThereError, reload_file, reload_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.inventory import writes
from masques_pipelines.inventory.compare import broken_parts, lost_parts, mutations
from masques_pipelines.inventory.proofs import prove_content, prove_rows
from masques_pipelines.inventory.tables import BY_ASSET
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.broken_files import break_a_file
from tests.support.gate_rows import GOOD, ndjson, request
from tests.support.landing_zone import Zone, assert_accounted_for, counts, in_quarantine, rows_of


def held(warehouse: Warehouse, table: str) -> tuple[list[Any], list[Any], list[Any]]:
    """The table, what is in quarantine, and what the log says, but for how often."""
    return (
        rows_of(warehouse, table),
        in_quarantine(warehouse),
        warehouse.rows(
            "SELECT path, source, toString(channel), toString(state), rows_read, blank, "
            "loaded + duplicates, quarantined FROM masques_ops.intake_files FINAL "
            f"WHERE folder = '{table}' AND state != 'same' ORDER BY path, source"
        ),
    )


# identities are kept in two tables.
@pytest.mark.parametrize("table", ["api_requests", "identities"])
def test_a_table_is_the_same_after_a_reload(warehouse: Warehouse, zone: Zone, table: str) -> None:
    good = [GOOD[table](n) for n in range(8)]
    zone.drop(f"{table}/a.ndjson", ndjson([*good[:4], "bad", "", good[0]]))
    zone.drop(f"{table}/b.ndjson.gz", gzip.compress(ndjson(good[2:])))
    zone.drop(f"{table}/cut.ndjson.gz", gzip.compress(ndjson(good))[:-9])
    zone.load(warehouse, table)
    zone.drop(f"{table}/same.ndjson.gz", (zone.folder / f"{table}/b.ndjson.gz").read_bytes())
    zone.load(warehouse, table)
    before = held(warehouse, table)
    done = reload_table(warehouse, zone.landing, TABLES[table], settle_s=-1)
    assert counts(done)["duplicates"] > 0
    assert "loaded" not in counts(done)
    assert_accounted_for(warehouse, done)
    after = held(warehouse, table)
    assert after[:2] == before[:2]
    # The file with the bytes of another is read too.
    assert {row for row in after[2] if "same" not in row[0]} == set(before[2])


def _content(warehouse: Warehouse, table: str) -> list[Any]:
    """All tables of a landing table, whole, but for when rows were loaded."""
    return [
        warehouse.rows(f"SELECT * EXCEPT ingested_at FROM {database}.{name} FINAL ORDER BY ALL")
        if name == "identities"
        else warehouse.rows(f"SELECT * EXCEPT ingested_at FROM {database}.{name} ORDER BY ALL")
        for database, name in TABLES[table].kept_in
    ]


def _truncate(warehouse: Warehouse, name: str, _key: str) -> None:
    warehouse.command(f"TRUNCATE TABLE {name}")


def _drop_a_partition(warehouse: Warehouse, name: str, _key: str) -> None:
    part = warehouse.scalar(f"SELECT max(_partition_id) FROM {name}")
    warehouse.command(f"ALTER TABLE {name} DROP PARTITION ID '{part}'")


def _delete_one(warehouse: Warehouse, name: str, key: str) -> None:
    warehouse.command(f"DELETE FROM {name} WHERE {key} = (SELECT min({key}) FROM {name})")


def _double_one(warehouse: Warehouse, name: str, _key: str) -> None:
    warehouse.command(f"INSERT INTO {name} SELECT * FROM {name} LIMIT 1")


def _change_one(warehouse: Warehouse, name: str, key: str) -> None:
    column = "status" if "identit" in name else "channel"
    warehouse.command(
        f"ALTER TABLE {name} UPDATE {column} = 'changed' WHERE {key} = "
        f"(SELECT max({key}) FROM {name})",
        mutations_sync=2,
    )


def _change_a_key(warehouse: Warehouse, name: str, key: str) -> None:
    _double_one(warehouse, name, key)
    warehouse.command(
        f"INSERT INTO {name} SELECT * REPLACE (generateUUIDv4() AS {key}) FROM {name} LIMIT 1"
    )
    _delete_one(warehouse, name, key)


def _change_rows(warehouse: Warehouse, name: str, key: str) -> None:
    for change in (_double_one, _change_a_key, _change_one, _delete_one):
        change(warehouse, name, key)


def _break_a_file(warehouse: Warehouse, name: str, _key: str) -> None:
    break_a_file(warehouse, name)


DAMAGES = (_truncate, _drop_a_partition, _change_rows, _break_a_file)


# Each kind of damage in a table with months and in one without; rows that changed in every table.
DAMAGED = {"api_requests": DAMAGES, "identities": DAMAGES}


@pytest.mark.parametrize("table", list(TABLES))
def test_a_table_is_whole_again_after_any_damage_and_its_reload(
    warehouse: Warehouse, zone: Zone, table: str
) -> None:
    good = [GOOD[table](n) for n in range(8)]
    zone.drop(f"{table}/a.ndjson", ndjson(good[:4]))
    zone.drop(f"{table}/b.ndjson", ndjson(good[2:]))
    zone.load(warehouse, table)
    before = _content(warehouse, table)
    held = BY_ASSET[table]
    for damage in DAMAGED.get(table, (_change_rows,)):
        for database, name in TABLES[table].kept_in:
            damage(warehouse, f"{database}.{name}", TABLES[table].key)
        if damage is _break_a_file:
            assert broken_parts(warehouse, held.name)
        else:
            assert _content(warehouse, table) != before, damage
        done = reload_table(warehouse, zone.landing, TABLES[table], settle_s=-1)
        assert done.restored is not None
        assert (_content(warehouse, table), done.restored.left) == (before, ()), damage
        for proof in (prove_rows(warehouse, held), prove_content(warehouse, held, everything=True)):
            assert (proof.outcome, proof.findings) == ("holds", ()), damage
        # Nothing is a finding any more that was put right.
        of_table = {f"{database}.{name}" for database, name in TABLES[table].kept_in}
        assert [line for line in mutations(warehouse) if line.split(":")[0] in of_table] == []
        assert counts(zone.load(warehouse, table)) == {}
        # A damaged part is dropped once its rows are back, and what it was is told.
        is_broken = damage is _break_a_file
        dropped = [line for line in done.restored.put_right if ": part " in line]
        assert len(dropped) == (len(of_table) if is_broken else 0), damage
        assert [line for line in lost_parts(warehouse) if line.split(":")[0] in of_table] == []
    leftovers = "SELECT name FROM system.tables WHERE name LIKE '%_set_aside' OR name LIKE '%_kept'"
    assert warehouse.rows(leftovers) == []


def test_what_no_file_has_any_more_is_never_lost(warehouse: Warehouse, zone: Zone) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(n) for n in range(4)]))
    zone.drop("api_requests/b.ndjson", ndjson([request(n) for n in range(4, 8)]))
    zone.load(warehouse, "api_requests")
    (zone.folder / "api_requests" / "b.ndjson").unlink()
    _change_one(warehouse, "masques.api_requests", "request_id")
    _double_one(warehouse, "masques.api_requests", "request_id")
    before = warehouse.rows("SELECT DISTINCT request_id FROM masques.api_requests ORDER BY ALL")
    done = reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
    assert done.restored is not None
    assert done.restored.days
    found = warehouse.rows("SELECT DISTINCT request_id FROM masques.api_requests ORDER BY ALL")
    assert found == before
    if done.restored.left:
        assert prove_content(warehouse, BY_ASSET["api_requests"], everything=True).findings


def _killing(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Lets the next reload die where a signal would end it."""

    def killed(*_given: object, **_named: object) -> Any:
        raise KeyboardInterrupt

    def stopping(name: str) -> str:
        return str(killed() if name == f"intake/{place}" else sql(name))

    if place == "load":
        monkeypatch.setattr(reload, "load_files", killed)
    elif place == "conclude":
        monkeypatch.setattr(reload, "conclude", killed)
    elif place == "swap":
        monkeypatch.setattr(restore, "_swap", killed)
    else:
        monkeypatch.setattr(restore, "sql", stopping)


def test_a_killed_restore_loses_nothing_and_is_made_again(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(n) for n in range(8)]))
    zone.load(warehouse, "api_requests")
    before = _content(warehouse, "api_requests")
    held = BY_ASSET["api_requests"]
    for place in ("set_aside", "keep_others", "swap", "load", "conclude"):
        _change_one(warehouse, "masques.api_requests", "request_id")
        with suppress(KeyboardInterrupt), monkeypatch.context() as patched:
            _killing(patched, place)
            reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
        zone.load(warehouse, "api_requests")
        reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
        assert _content(warehouse, "api_requests") == before, place
        for proof in (prove_rows(warehouse, held), prove_content(warehouse, held, everything=True)):
            assert (proof.outcome, proof.findings) == ("holds", ()), place


@pytest.mark.parametrize("is_kept", [False, True])
def test_new_rows_between_a_killed_reload_and_the_next_are_counted_once(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    """`is_kept`: rows of the day that the killed reload did not lose."""
    held = BY_ASSET["api_requests"]
    zone.drop("api_requests/a.ndjson", ndjson([request(n) for n in range(8)]))
    zone.load(warehouse, "api_requests")
    if is_kept:
        _delete_one(warehouse, held.name, "request_id")
    else:
        _truncate(warehouse, held.name, "")

    with suppress(KeyboardInterrupt), monkeypatch.context() as patched:

        def kill(*_given: object) -> Any:
            # As kill -9: nothing is written down on the way out.
            patched.setattr(writes, "_end", kill)
            raise KeyboardInterrupt

        patched.setattr(Loader, "load", kill)
        reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
    zone.drop("api_requests/b.ndjson", ndjson([request(n) for n in range(8, 12)]))
    zone.load(warehouse, "api_requests")
    reload_table(warehouse, zone.landing, TABLES["api_requests"], settle_s=-1)
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 12
    for proof in (prove_rows(warehouse, held), prove_content(warehouse, held, everything=True)):
        assert (proof.outcome, proof.findings) == ("holds", ())


def test_one_file_is_reloaded_by_its_path(warehouse: Warehouse, zone: Zone) -> None:
    for n in range(3):
        zone.drop(f"api_requests/{n}.ndjson", ndjson([request(n)]))
    zone.load(warehouse)
    warehouse.command("TRUNCATE TABLE masques.api_requests")
    for path in ("api_requests/1.ndjson", str(zone.folder / "api_requests/2.ndjson")):
        done = reload_file(warehouse, zone.landing, path, settle_s=-1)
        assert [(result.path[-8:], result.loaded) for result in done.files] == [(path[-8:], 1)]
    assert warehouse.scalar("SELECT count() FROM masques.api_requests") == 2


def test_a_file_that_is_not_there_is_an_error_and_forgets_nothing(
    warehouse: Warehouse, zone: Zone
) -> None:
    zone.drop("api_requests/a.ndjson", ndjson([request(1)]))
    zone.drop("exchange_rates/a.ndjson", b"")
    zone.load(warehouse)
    before = held(warehouse, "api_requests")
    for path in ("api_requests/gone.ndjson", "exchange_rates/a.ndjson", "/etc/passwd", "x"):
        with pytest.raises(FileNotThereError, match="has no such file that is read"):
            reload_file(warehouse, zone.landing, path, settle_s=-1)
        assert held(warehouse, "api_requests") == before
