"""Three computed nodes and a gate's journal, read as the sandbox's rails."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from masques_pipelines.errors import PermanentError
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.rails.catalog import place
from masques_pipelines.rails.evidence import CHAIN_SAYS
from masques_pipelines.rails.run import ingest_all
from masques_pipelines.rails.status import check_lines, status_lines
from masques_pipelines.sandbox.journal import journal_line
from masques_pipelines.sandbox.nodes.facts import Payment
from masques_pipelines.sandbox.places import WORLD, WORLD_NAME, WORLD_VERSION
from masques_pipelines.sandbox.stand_ins import NodeOf, prepare_sources, with_stand_ins
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql
from tests.support.fresh_schema import fresh_schema
from tests.support.rails_story import SEED, story_node, story_until

STATES = [
    ("base", "in", "confirmed", "", 5),
    ("base", "in", "failed", "transaction_reverted", 1),
    ("base", "in", "pending", "", 1),
    ("base", "in", "unknown", "no_answer", 1),
    ("base", "in", "unknown", "not_seen_until_deadline", 1),
    ("base", "out", "confirmed", "", 1),
    ("lightning", "in", "confirmed", "", 2),
    ("lightning", "in", "failed", "invoice_canceled", 1),
    ("lightning", "in", "failed", "invoice_expired", 1),
    ("lightning", "in", "pending", "", 1),
    ("lightning", "out", "confirmed", "", 1),
    ("solana", "in", "confirmed", "", 3),
    ("solana", "in", "failed", "transaction_failed: InstructionError: [2, Custom: 1]", 1),
    ("solana", "in", "pending", "", 1),
]


RAILS = ("base", "solana", "lightning")
# Without what depends on the moment of a reading.
ROWS = (
    "SELECT * EXCEPT (revision, recorded_at, ingested_at, confirmations) "
    "FROM masques_marts.settlements_current ORDER BY settlement_id"
)
Change = Callable[[Payment], Payment]


def test_each_ending_has_its_settlement_and_no_row_the_second_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    story = Story(warehouse, tmp_path, int(time.time()))
    settings = story.settings_at(story.ends_s)
    lines = list(check_lines(settings))
    assert all(is_good for _, is_good in lines)
    assert [line.split(" on ")[0] for line, _ in lines[1:]] == [
        f"{rail:10} good: sandbox://{rail}" for rail in RAILS
    ]
    story.run(story.ends_s)
    assert (
        warehouse.rows(
            "SELECT rail, direction, status, failure_reason, count() "
            "FROM masques_marts.settlements_current GROUP BY ALL ORDER BY ALL"
        )
        == STATES
    )
    assert warehouse.rows(
        "SELECT rail, count() FROM masques_ops.settlement_links AS l FINAL "
        "INNER JOIN masques_marts.settlements_current AS c USING (settlement_id) "
        "GROUP BY rail ORDER BY rail"
    ) == [("base", 4), ("lightning", 1)]
    newest = warehouse.scalar("SELECT toUnixTimestamp(max(timestamp)) FROM masques.settlements")
    assert time.time() - 600 < newest <= time.time() + 5
    assert ingest_all(warehouse, settings).rows_written == 0
    text = "\n".join(status_lines(warehouse, settings, datetime.now(UTC)))
    assert text.count("last run: read, ") == 4
    assert "error" not in text
    assert "differs" not in text


class Story:
    """A story whose clock a test moves, and whose facts it may change."""

    def __init__(self, warehouse: Warehouse, folder: Path, ends_s: int) -> None:
        fresh_schema(warehouse)
        self.warehouse = warehouse
        self.ends_s = ends_s
        self.journal = folder / "sandbox" / "landing" / "settlement_journal" / "gate.ndjson"
        self.journal.parent.mkdir(parents=True)
        self.settings = with_stand_ins(read_settings({"MASQUES_HOME": str(folder)}))

    def run(self, now_s: int, change: Change = lambda fact: fact) -> None:
        """Reads everything at a time of the clock: the journal has the lines up to then."""
        said = story_until(self.ends_s).announcements
        lines = [journal_line(each, SEED) for each in said if each.at_s <= now_s]
        self.journal.write_text("".join(lines))
        done = ingest_all(self.warehouse, self.settings_at(now_s, change))
        assert [each.error for each in done.outcomes] == ["", "", "", ""]

    def settings_at(self, now_s: int, change: Change = lambda fact: fact) -> Settings:
        def of(configured: RailSettings) -> RailSettings:
            rail = configured.name
            payments = [change(each) for each in story_until(self.ends_s).payments[rail]]
            node = partial(story_node, rail, payments, self.ends_s, now_s)
            return replace(configured, transport=node)

        rails = tuple(of(each) for each in self.settings.rails if each.name in RAILS)
        return replace(self.settings, rails=rails)

    def says(self) -> dict[str, tuple[str, Decimal]]:
        records = self.warehouse.records(sql(CHAIN_SAYS))
        return {each["rail"]: (each["state"], each["difference"]) for each in records}


def test_a_clock_that_walks_gives_the_rows_of_one_that_jumps_and_the_chain_agrees(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    found: list[Sequence[Any]] = []
    ends_s = int(time.time()) - 2 * 86_400
    for name, steps in (("jumps", [7_200]), ("walks", [-2_790, 7_200])):
        story = Story(warehouse, tmp_path / name, ends_s)
        for step in steps:
            story.run(story.ends_s + step)
            assert {state for state, _ in story.says().values()} <= {"opening", "agrees"}
        found.append(warehouse.records(ROWS))
    assert {each["rail"] for each in found[0]} == set(RAILS)
    assert found[0] == found[1]
    assert story.says() == dict.fromkeys(RAILS, ("agrees", Decimal(0)))


def test_one_payment_that_a_node_does_not_show_is_a_difference(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    story = Story(warehouse, tmp_path, int(time.time()) - 2 * 86_400)
    story.run(story.ends_s - 3_100)

    def hide(fact: Payment) -> Payment:
        return replace(fact, kind="hidden") if fact.units in (75_000, 990_000, 21_500) else fact

    story.run(story.ends_s + 7_200, hide)
    assert story.says() == {
        "base": ("differs", Decimal("0.075")),
        "solana": ("differs", Decimal("0.99")),
        "lightning": ("differs", Decimal("0.000000215")),
    }


def test_rails_of_production_are_off_until_they_are_set_whatever_sandbox_is_there(
    tmp_path: Path,
) -> None:
    plain = read_settings({"MASQUES_HOME": str(tmp_path)})
    assert place(plain, "base").disabled_reason == "MASQUES_BASE_RPC_URL is not set"
    sandbox = with_stand_ins(plain)
    assert place(sandbox, "base").disabled_reason is None
    prepare_sources(sandbox)
    settings = with_stand_ins(
        read_settings({"MASQUES_HOME": str(tmp_path), "MASQUES_LND_URL": "http://127.0.0.1:1"})
    )
    assert place(settings, "lightning").disabled_reason is None
    assert place(settings, "lightning").configured.transport is None
    assert place(settings, "base").disabled_reason == "MASQUES_BASE_RPC_URL is not set"
    assert place(settings, "solana").disabled_reason == "MASQUES_SOLANA_RPC_URL is not set"


def test_no_secret_is_in_the_journal() -> None:
    lines = [json.loads(journal_line(each, SEED)) for each in story_until(10**9).announcements]
    assert len(lines) == 15
    for line in lines:
        assert not {"signature", "macaroon", "preimage", "r_preimage"} & set(_names(line))


def _names(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for each in value.values() for name in _names(each))]
    return [name for each in value for name in _names(each)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    "content",
    [None, "{", "[]", '{"shape": 1}', f'{{"version": {WORLD_VERSION}, "shape": {{}}}}'],
)
def test_a_damaged_world_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / WORLD).mkdir()
        (tmp_path / WORLD / WORLD_NAME).write_text(content)
    with pytest.raises(
        PermanentError,
        match=r"(there is no world yet|it cannot be read|another version).*sandbox new`",
    ):
        NodeOf(tmp_path, "base")()
