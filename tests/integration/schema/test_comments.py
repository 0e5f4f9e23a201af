"""Every table, view and column says what it means, and a view has the types that it selects."""

import re

import pytest

from masques_pipelines.warehouse.client import Warehouse

OURS = "database IN ('masques', 'masques_ops', 'masques_marts') AND NOT startsWith({name}, '.')"
# A parameterised view keeps no columns: its own comment lists them, and its parameters.
VIEWS = (
    "SELECT concat(database, '.', name), as_select, comment FROM system.tables "
    "WHERE engine = 'View' AND " + OURS.format(name="name")
)
PARAMETER = re.compile(r"\{(\w+):")
# Words that stand in the place of a meaning.
EMPTY = re.compile(r"^(the )?(value|column|id|name|data|todo|tbd)?\W*$", re.IGNORECASE)


def test_every_column_has_a_comment(warehouse: Warehouse) -> None:
    columns = warehouse.rows(
        "SELECT concat(database, '.', table, '.', name), comment FROM system.columns WHERE "
        + OURS.format(name="table")
    )
    assert len(columns) > 800
    assert [name for name, comment in columns if EMPTY.match(comment)] == []


def test_every_table_and_view_has_a_comment(warehouse: Warehouse) -> None:
    objects = warehouse.rows(
        "SELECT concat(database, '.', name), comment FROM system.tables WHERE "
        + OURS.format(name="name")
    )
    assert len(objects) > 90
    assert [name for name, comment in objects if EMPTY.match(comment)] == []


def test_a_parameterised_view_lists_its_parameters_and_columns(warehouse: Warehouse) -> None:
    found = {}
    for name, query, comment in warehouse.rows(VIEWS):
        if parameters := set(PARAMETER.findall(query)):
            _, _, listed = comment.partition(" Parameters: ")
            listed, _, columns = listed.partition(". Columns: ")
            found[name] = (set(re.findall(r"(?:^|; )(\w+) - ", listed)) == parameters, columns)
    assert len(found) > 10
    assert [name for name, (is_complete, columns) in found.items() if not is_complete] == []
    assert [name for name, (_, columns) in found.items() if EMPTY.match(columns)] == []


def test_a_view_declares_the_types_that_it_selects(warehouse: Warehouse) -> None:
    # ClickHouse converts a view's rows to the declared types without a word: 2.119 to 2.11.
    wrong = []
    for name, query, _ in warehouse.rows(VIEWS):
        if PARAMETER.search(query):
            continue
        selected = [row[:2] for row in warehouse.rows(f"DESCRIBE TABLE ({query})")]
        declared = [row[:2] for row in warehouse.rows(f"DESCRIBE TABLE {name}")]
        if selected != declared:
            wrong.append((name, selected, declared))
    assert wrong == []


@pytest.mark.parametrize(
    ("view", "base"),
    [
        ("masques_marts.settlements_current", "masques.settlements"),
        ("masques_marts.identities_current", "masques.identities"),
        ("masques_ops.identity_versions", "masques.identities"),
        ("masques_ops.transactions_rebuilt", "masques.transactions"),
        ("masques.reputation_scores_mv", "masques.reputation_scores"),
    ],
)
def test_a_column_that_is_passed_through_means_the_same(
    warehouse: Warehouse, view: str, base: str
) -> None:
    comments = {
        name: dict(
            warehouse.rows(
                "SELECT name, comment FROM system.columns "
                "WHERE concat(database, '.', table) = {name:String}",
                {"name": name},
            )
        )
        for name in (view, base)
    }
    differing = {
        column
        for column, comment in comments[view].items()
        if column in comments[base] and comments[base][column] != comment
    }
    # The row of a view is the latest one, not any.
    assert differing <= {"revision", "updated_at"}
