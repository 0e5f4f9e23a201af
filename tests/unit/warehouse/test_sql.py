"""The statement splitter, on everything in which a semicolon can hide."""

import pytest

from masques_pipelines.warehouse.sql import SqlTextError, cluster_form, split_statements, sql


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1", ["SELECT 1"]),  # no semicolon at the end
        ("", []),
        (" ;; -- only\n /* comments */ ;\n", []),  # empty statements are not statements
        ("SELECT ';' ; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; one' ; x", ["SELECT 'it''s; one'", "x"]),  # doubled quote
        (r"SELECT 'it\'s; one' ; x", [r"SELECT 'it\'s; one'", "x"]),  # escaped quote
        ('SELECT "a;b" ; x', ['SELECT "a;b"', "x"]),
        ("SELECT `a;b` ; x", ["SELECT `a;b`", "x"]),
        ("SELECT 1 -- no; end\n + 2; x", ["SELECT 1  \n + 2", "x"]),
        ("SELECT 1 # no; end\n; x", ["SELECT 1", "x"]),
        ("#!no; end\nSELECT 1; x", ["SELECT 1", "x"]),
        ("SELECT /* a; /* nested; */ b; */ 1; x", ["SELECT   1", "x"]),
        ("SELECT $$a; 'b$$ ; x", ["SELECT $$a; 'b$$", "x"]),  # heredoc without a tag
        ("SELECT $t$a; $$ b$t$ ; x", ["SELECT $t$a; $$ b$t$", "x"]),  # and with one
        ("SELECT '-- not; a comment' ; x", ["SELECT '-- not; a comment'", "x"]),
        ("SELECT a$b ; x", ["SELECT a$b", "x"]),  # a dollar inside a name opens no heredoc
    ],
)
def test_splits_only_at_semicolons_between_statements(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\nSELECT 'open", "f.sql: line 2: ' is not closed"),
        ("SELECT 1 /* open /* closed */", "f.sql: line 1: /* is not closed"),
        ('SELECT\n\n"open', 'f.sql: line 3: " is not closed'),
    ],
)
def test_names_the_line_of_what_is_not_closed(text: str, message: str) -> None:
    with pytest.raises(SqlTextError, match=message.replace("*", r"\*")):
        split_statements(text, name="f.sql")


def test_the_cluster_form_turns_its_comments_on_before_the_splitter_drops_comments() -> None:
    text = "CREATE TABLE t (x Int8) ENGINE = /*cluster:Replicated*/MergeTree /* plain */ ORDER BY x"

    assert "ENGINE =  MergeTree" in split_statements(text)[0]
    assert "ENGINE = ReplicatedMergeTree" in split_statements(cluster_form(text))[0]


def test_a_missing_query_file_is_named() -> None:
    with pytest.raises(SqlTextError, match=r"nothing/here\.sql: there is no such SQL file"):
        sql("nothing/here")
