"""What is proved of the tables that people know, and what it says when nothing is there."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.inventory.proofs import (
    prove_content,
    prove_files,
    prove_rows,
    prove_scores,
    prove_tables,
)
from masques_pipelines.inventory.tables import VERSIONS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.reputation.facts import write_facts
from masques_pipelines.reputation.scores import refresh_scores
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.broken_files import break_a_file
from tests.support.reputation_world import Event, World, ident

IDENTITIES = (
    "INSERT INTO {table} (identity_id, display_name, updated_at) SELECT "
    "reinterpretAsUUID(toUInt128(number % 5)), toString(number), "
    "toDateTime64('2026-11-01 00:00:00', 9, 'UTC') + number FROM numbers(12)"
)

NEWER = (
    "INSERT INTO masques.identities SELECT * REPLACE (updated_at + 1 AS updated_at) "
    "FROM masques.identities FINAL LIMIT 1"
)


def versions(warehouse: Warehouse) -> None:
    """Twelve versions of five identities, as the intake publishes them."""
    with counted(warehouse, VERSIONS):
        for table in ("masques.identities", "masques_ops.identity_versions"):
            warehouse.command(IDENTITIES.format(table=table))


@pytest.mark.parametrize(
    ("statement", "rows", "content"),
    [
        ("SELECT 1", "holds", "holds"),
        ("OPTIMIZE TABLE masques.identities FINAL", "holds", "holds"),
        ("INSERT INTO masques.identities SELECT * FROM masques.identities", "holds", "holds"),
        ("TRUNCATE TABLE masques.identities", "fails", "fails"),
        ("DELETE FROM masques.identities WHERE display_name = '11'", "fails", "fails"),
        (
            "INSERT INTO masques.identities (identity_id) VALUES (generateUUIDv4())",
            "fails",
            "fails",
        ),
        (
            NEWER,
            "holds",
            "fails",
        ),
    ],
)
def test_identities_are_the_newest_of_their_versions(
    warehouse: Warehouse, statement: str, rows: str, content: str
) -> None:
    versions(warehouse)
    warehouse.command(statement)
    assert prove_rows(warehouse, VERSIONS).outcome == rows
    assert prove_content(warehouse, VERSIONS, everything=True).outcome == content


# Evidence ages from one computation to the next; scores of 7 days ago are not there at first.
AGED: list[str] = []


def test_scores_are_what_their_query_gives(warehouse: Warehouse) -> None:
    assert prove_scores(warehouse).outcome == "nothing"
    world = World(identities={ident("agent"): {}, ident("idle"): {}})
    for n in range(3):
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=n + 1)
        payment = world.pay(ident(f"client {n}"), ident("agent"), at)
        world.events.append(
            Event(ident("agent"), at, reference_type="transaction", reference=payment)
        )
    world.load(warehouse)
    write_facts(warehouse)
    refresh_scores(warehouse)
    assert prove_scores(warehouse).outcome == "holds"

    warehouse.command(
        "INSERT INTO masques.reputation_scores SELECT * REPLACE (overall_score + 0.001 AS "
        "overall_score) FROM masques.reputation_scores FINAL WHERE identity_id = {id:UUID}",
        {"id": ident("agent")},
    )
    found = prove_scores(warehouse)
    assert (found.outcome, found.findings) == ("fails", (f"{ident('agent')} has other content",))
    refresh_scores(warehouse)
    assert prove_scores(warehouse).outcome == "holds"
    scores = "SELECT * EXCEPT computed_at FROM masques.reputation_scores FINAL ORDER BY identity_id"
    whole = warehouse.frame(scores).drop(columns=AGED).round(6)
    break_a_file(warehouse, "masques.reputation_scores")
    files = prove_files(warehouse, everything=True, names=("masques.reputation_scores",))
    assert files.outcome == "fails"
    refresh_scores(warehouse)
    assert warehouse.frame(scores).drop(columns=AGED).round(6).equals(whole)
    files = prove_files(warehouse, everything=True, names=("masques.reputation_scores",))
    assert (files.outcome, prove_scores(warehouse).outcome) == ("holds", "holds")
    warehouse.command("DELETE FROM masques.reputation_scores WHERE overall_score != 0.5")
    assert prove_scores(warehouse).findings == (f"{ident('agent')} is gone",)


def test_an_empty_warehouse_proves_nothing(
    warehouse: Warehouse, engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {each.table: each.outcome for each in prove_tables(warehouse, everything=True)}
    del found["mutations"]  # of other tests
    assert set(found.values()) == {"nothing", "holds"}
    assert [name for name, outcome in found.items() if outcome == "holds"] == [
        "files",
        "parts",
    ]
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    result = CliRunner().invoke(masques, ["verify"])
    assert result.exit_code == 1
    assert "nothing  api_requests: nothing was written yet" in result.output
