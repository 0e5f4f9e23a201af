"""What the SQL files may hold: numbered files tables, view files nothing but views."""

import re
from collections import Counter
from pathlib import Path

import pytest

from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import SqlFile, SqlFileError, sql_files, views_checksum

VIEWS = [file for file in sql_files() if file.is_views]
NUMBERED = [file for file in sql_files() if not file.is_views]
CREATED = re.compile(
    r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW|MATERIALIZED VIEW)(?: IF NOT EXISTS)? (\S+)"
)
# A star that selects columns: after SELECT, DISTINCT or a comma, alone or behind a name.
STAR = re.compile(r"(?:\bSELECT|\bDISTINCT|,)\s+(?:\w+\.)?\*")
INDEX = re.compile(
    r"\b(?:ADD INDEX(?: IF NOT EXISTS)?|(?<!ADD )(?<!DROP )(?<!MATERIALIZE )INDEX) (\w+)"
)


def objects_of(files: list[SqlFile]) -> list[str]:
    texts = [text for file in files for text in file.statements(cluster=False)]
    return [match[1] for text in texts if (match := CREATED.match(text))]


def test_view_files_hold_views_and_the_one_query_of_the_scores() -> None:
    others = [
        " ".join(text.split()[:5])
        for file in VIEWS
        for text in file.statements(cluster=False)
        if not re.match(
            r"CREATE OR REPLACE VIEW masques_(ops|marts)\.\w+\s+(AS|\(|DEFINER)\s", text
        )
    ]
    assert others == [
        "ALTER TABLE masques.reputation_scores_mv MODIFY QUERY",
        "ALTER TABLE masques.reputation_scores_mv COMMENT COLUMN",
    ]


def test_numbered_files_make_no_view_but_that_of_the_scores() -> None:
    views = [
        text.split("\n")[0]
        for file in NUMBERED
        for text in file.statements(cluster=False)
        if re.match(r"CREATE.* VIEW", text)
    ]
    assert views == ["CREATE MATERIALIZED VIEW IF NOT EXISTS masques.reputation_scores_mv"]


def test_each_object_is_defined_once() -> None:
    twice = [name for name, count in Counter(objects_of(sql_files())).items() if count > 1]
    assert twice == []


def test_columns_of_one_table_are_added_together_and_nothing_changes_its_place() -> None:
    file = SqlFile(
        1,
        "001_x.sql",
        """ALTER TABLE a.b ADD COLUMN c UInt8 COMMENT ', d'; ALTER TABLE a.b COMMENT COLUMN e 'f';
        ALTER TABLE a.g ADD COLUMN c UInt8; ALTER TABLE a.b ADD COLUMN h UInt8;
        ALTER TABLE a.b UPDATE h = 1 WHERE 1; ALTER TABLE a.b ADD COLUMN i UInt8;""",
    )
    assert file.commands(cluster=False) == [
        "ALTER TABLE a.b ADD COLUMN c UInt8 COMMENT ', d', COMMENT COLUMN e 'f'",
        "ALTER TABLE a.g ADD COLUMN c UInt8",
        "ALTER TABLE a.b ADD COLUMN h UInt8",
        "ALTER TABLE a.b UPDATE h = 1 WHERE 1",
        "ALTER TABLE a.b ADD COLUMN i UInt8",
    ]


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: str(file.name))
def test_no_view_selects_a_star(file: SqlFile) -> None:
    # A view keeps the columns that a star meant when it was made.
    assert [text for text in file.statements(cluster=False) if STAR.search(text)] == []


@pytest.mark.parametrize(
    ("text", "is_star"),
    [
        ("SELECT * FROM t", True),
        ("SELECT a, e.* FROM e", True),
        ("SELECT\n    *,\n    1 AS b FROM t", True),
        ("SELECT DISTINCT * FROM t", True),
        ("SELECT a * b, (c) * d, count() FROM t", False),
    ],
)
def test_a_star_is_told_from_a_product(text: str, is_star: bool) -> None:
    assert bool(STAR.search(text)) == is_star


def index_names(files: list[SqlFile]) -> list[tuple[str, str]]:
    """Returns the table and name of each skip index that the files make, dropped or not."""
    found = []
    for file in files:
        for text in file.statements(cluster=False):
            if match := re.match(r"(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE) (\S+)", text):
                found += [(match[1], name) for name in INDEX.findall(text)]
    return found


def test_no_skip_index_gets_an_old_name() -> None:
    # The engine reads older parts by the old index's bytes, and hides rows (ClickHouse#121171).
    names = index_names(NUMBERED)
    declared = {
        (table, index)
        for table, schema in declared_schema().objects.items()
        for index in schema.indices
        if not table.endswith("_rebuilt")  # made AS the table that it is swapped into
    }
    assert declared
    assert declared <= set(names)
    assert [entry for entry, count in Counter(names).items() if count > 1] == []


def test_an_index_that_is_made_again_is_found() -> None:
    change = (
        "ALTER TABLE masques.accounts DROP INDEX identity_id_bloom, ADD INDEX identity_id_bloom x"
    )
    names = index_names([*NUMBERED, SqlFile(80, "080_index.sql", change)])
    assert [entry for entry, count in Counter(names).items() if count > 1] == [
        ("masques.accounts", "identity_id_bloom")
    ]


def test_the_checksum_of_the_views_tells_names_and_contents() -> None:
    views = [SqlFile(90, "090_a.sql", "x"), SqlFile(91, "091_b.sql", "y")]
    others = [
        [SqlFile(90, "090_a.sql", "x"), SqlFile(91, "091_b.sql", "z")],
        [SqlFile(90, "090_a.sql", "x"), SqlFile(91, "091_c.sql", "y")],
        views[:1],
    ]
    tables = [SqlFile(1, "001_a.sql", "x")]

    assert views_checksum([*tables, *views]) == views_checksum(views)
    assert len({views_checksum(files) for files in (views, *others)}) == 4


def test_files_are_read_in_order_and_told_apart(tmp_path: Path) -> None:
    for name in ("090_views.sql", "001_b.sql", "012_change.sql", "notes.sql"):
        (tmp_path / name).write_text(name)

    assert [(file.version, file.name, file.is_views) for file in sql_files(tmp_path)] == [
        (1, "001_b.sql", False),
        (12, "012_change.sql", False),
        (90, "090_views.sql", True),
    ]


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["001_Upper.sql"], r"^001_Upper\.sql: the file is named neither"),
        (["001_a.sql", "001_b.sql"], r"^001_b\.sql: 001_a\.sql already has the number 1; renumber"),
    ],
)
def test_a_bad_name_is_refused(tmp_path: Path, names: list[str], error: str) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(SqlFileError, match=error):
        sql_files(tmp_path)
