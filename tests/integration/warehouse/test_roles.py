"""Each user of a server does its work with the rights of sql/roles.sql, and no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from masques_pipelines.cli import masques
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files
from masques_pipelines.schema.migrations import make_plan, migrate
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import open_warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.sql import split_statements, sql
from tests.clickhouse_front.engine import give_to_owner
from tests.clickhouse_front.front import Front, http_front
from tests.support.code_location import defs
from tests.support.payment_facts import PaymentFacts, item

ACCESS_DENIED = 497
# What a killed refresh leaves behind; the writer removes it.
LEFTOVER = "masques.`.tmp.inner_id.left`"
# What of the bookkeeping an operator may read, and what of it an operator adds to.
WRITTEN_BY_OPERATORS = ("break_notes", "inventory", "inventory_writes")
FOR_OPERATORS = (
    *WRITTEN_BY_OPERATORS,
    "inventory_of_break_notes",
    "schema_migrations",
    "warehouse_stamp",
)
COUNTED_NOTES = (
    "SELECT sum(rows) FROM masques_ops.inventory FINAL WHERE table_name = 'masques_ops.break_notes'"
)
SOMEBODY = "'00000000-0000-0000-0000-000000000000'"
PARAMETERS = {
    "masques_marts.break_history_at": "(as_of = now64(6))",
    "masques_marts.breaks_at": "(as_of = now64(6))",
    "masques_marts.payments_at": "(as_of = now64(6))",
    "masques_marts.position_at": "(as_of = now64(6))",
    "masques_marts.hold": f"(id = {SOMEBODY})",
    "masques_marts.sessions_of": f"(identity = {SOMEBODY})",
    "masques_marts.settlement_of": "(hash = '')",
    "masques_marts.statement": f"(account = {SOMEBODY}, from = now64(9), to = now64(9))",
}


def grants(role: str) -> list[str]:
    """What a role may do, as the grants of a user."""
    ending = f" TO {role}"
    return [
        statement.removesuffix(ending)
        for statement in split_statements(sql("roles"))
        if statement.endswith(ending)
    ]


@contextmanager
def as_role(folder: Path, role: str) -> Iterator[tuple[Front, Warehouse]]:
    with http_front(folder, grants=grants(role)) as front:
        settings = read_settings({"MASQUES_CLICKHOUSE_URL": front.url})
        with open_warehouse(settings, origin=Origin(job="tests")) as warehouse:
            yield front, warehouse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated(tmp_path_factory.mktemp("server"))


def migrated(folder: Path) -> Path:
    """A server's files, migrated by the migrator, who owns the views."""
    made = folder / "data"
    with as_role(made, "masques_migrator") as (_, warehouse):
        migrate(warehouse)
        assert make_plan(warehouse).is_clean
        warehouse.command(f"CREATE TABLE {LEFTOVER} (nothing UInt8) ENGINE = Memory")
        refused(warehouse, "CREATE DATABASE other")
        refused(warehouse, "DROP DATABASE masques")
    give_to_owner(made)
    return made


def refused(warehouse: Warehouse, statement: str) -> None:
    with pytest.raises(WarehousePermanentError, match=r"sql/roles\.sql") as caught:
        warehouse.command(statement)
    assert caught.value.code == ACCESS_DENIED, statement


@pytest.mark.timeout(600)
def test_the_writer_runs_every_job(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_role(folder, "masques_writer") as (front, warehouse):
        monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
        monkeypatch.setenv("MASQUES_SANDBOX", "1")
        monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", front.url)
        everything = defs.resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            assert everything.execute_in_process(instance=instance).success
            assert not warehouse.scalar(f"EXISTS TABLE {LEFTOVER}")
            # A month of the ledger's is replaced, checkpoints are dropped, files are loaded again.
            for command in (
                ["ledger", "rebuild"],
                ["ledger", "rebuild", "--accounts"],
                ["verify", "--renew"],
                ["intake", "reload", "--table", "identities"],
                ["intake", "quarantine", "list"],
                ["rails", "status"],
                ["reputation", "recompute"],
            ):
                result = CliRunner().invoke(masques, command)
                assert result.exit_code == 0, (command, result.output, result.exception)
        for statement in (
            "DROP TABLE masques.transactions",
            "ALTER TABLE masques.settlements DELETE WHERE 1",
            "TRUNCATE TABLE masques.api_requests",
            "CREATE VIEW masques_marts.mine AS SELECT 1",
            "CREATE DATABASE other",
        ):
            refused(warehouse, statement)


def test_a_reader_asks_the_marts_and_sees_nothing_of_the_pipeline(folder: Path) -> None:
    wanted = [name for name in declared_schema().objects if not name.startswith("masques_ops.")]
    with as_role(folder, "masques_reader") as (_, warehouse):
        for name in wanted:
            warehouse.rows(f"SELECT * FROM {name}{PARAMETERS.get(name, '')} LIMIT 1")
        for statement in (
            "SELECT count() FROM masques_ops.quarantine",
            "SELECT count() FROM masques_ops.ledger_seals",
            "TRUNCATE TABLE masques.transactions",
            "INSERT INTO masques.reputation_events (identity_id) VALUES (generateUUIDv4())",
        ):
            refused(warehouse, statement)


def test_an_operator_writes_notes_of_breaks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    folder, call = migrated(tmp_path), str(item("call"))

    def run(front: Front, *arguments: str) -> Result:
        monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", front.url)
        return CliRunner().invoke(masques, ["breaks", *arguments])

    with as_role(folder, "masques_writer") as (front, warehouse):
        facts = PaymentFacts(warehouse)
        facts.prepare()
        facts.transfer("call", "api_call", "3", 0)
        facts.read_to(90)
        assert run(front, "compare").exit_code == 0
    with as_role(folder, "masques_reader") as (front, warehouse):
        found = run(front, "ack", call, "--note", "mine").exception
        assert isinstance(found, WarehousePermanentError)
        assert found.code == ACCESS_DENIED
    with as_role(folder, "masques_operator") as (front, warehouse):
        for command in ("ack", "explain", "write-off"):
            told = run(front, command, call, "--note", command)
            assert told.exit_code == 0, (command, told.output, told.exception)
        assert f"gate  {call}" in run(front, "list", "--state", "written_off").output
        held = warehouse.scalar("SELECT count() FROM masques_ops.inventory_of_break_notes")
        assert held == warehouse.scalar(COUNTED_NOTES) == 3
        for table in declared_schema().objects:
            database, _, name = table.partition(".")
            if database == "masques_ops" and name not in FOR_OPERATORS:
                refused(warehouse, f"SELECT * FROM {table}{PARAMETERS.get(table, '')} LIMIT 1")
            if database == "masques" or name not in WRITTEN_BY_OPERATORS:
                assert not warehouse.scalar(f"CHECK GRANT INSERT ON {table}")
            assert not warehouse.scalar(f"CHECK GRANT TRUNCATE ON {table}")
            assert not warehouse.scalar(f"CHECK GRANT ALTER DELETE ON {table}")
            assert not warehouse.scalar(f"CHECK GRANT DROP TABLE ON {table}")
        for statement in (
            "TRUNCATE TABLE masques_ops.break_notes",
            "INSERT INTO masques_ops.payments_log (item_id) VALUES (generateUUIDv4())",
            "INSERT INTO masques.settlements (rail) VALUES ('base')",
            "CREATE TABLE masques_ops.mine (nothing UInt8) ENGINE = Null",
            "DROP TABLE masques_ops.payments_touched",
            "CREATE VIEW masques_marts.mine AS SELECT 1",
        ):
            refused(warehouse, statement)


def test_every_mart_is_read_in_the_name_of_who_made_it() -> None:
    views = [file for file in sql_files() if file.is_views]
    missing = [
        statement.split("\n", 1)[0]
        for file in views
        for statement in file.statements(cluster=False)
        if statement.startswith("CREATE OR REPLACE VIEW masques_marts.")
        and "DEFINER = CURRENT_USER SQL SECURITY DEFINER" not in statement
    ]
    assert missing == []
