"""Reads the SQL files of the project and splits them into statements.

Files are read once: they do not change while a process runs.
"""

import functools
import re
from pathlib import Path
from typing import Final

from masques_pipelines.errors import PermanentError

_PACKAGE_DIRECTORY: Final = Path(__file__).resolve().parent.parent

# `/*cluster:Replicated*/` is a comment to a plain client; on a cluster its content is used.
_CLUSTER_COMMENT: Final = re.compile(r"/\*cluster:(.*?)\*/", re.DOTALL)

# The tokens of ClickHouse SQL in which a `;` can stand. Comments nest; strings escape by backslash
# or by doubling; a heredoc is $tag$ … $tag$.
_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    | (?P<line_comment>--[^\n]*|\#(?=[\s!])[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<plain>(?:\w[\w$]*|[(),.<>=+:{}\[\]])(?:\w[\w$]*|[(),.<>=+:{}\[\]\s])*)
    | (?P<semicolon>;)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


class SqlTextError(PermanentError):
    """A SQL file is missing or cannot be split into statements."""


@functools.cache
def sql_directory() -> Path:
    """Returns the folder of the project's SQL: the checkout's `sql/`, else the wheel's copy.

    Raises:
        SqlTextError: Neither exists.
    """
    for folder in (_PACKAGE_DIRECTORY.parent / "sql", _PACKAGE_DIRECTORY / "_sql"):
        if (folder / "001_create_database.sql").is_file():
            return folder
    raise SqlTextError(
        f"{_PACKAGE_DIRECTORY.parent / 'sql'}: the SQL files are missing: "
        "run from a checkout of the project, or install its wheel again"
    )


@functools.cache
def sql(name: str) -> str:
    """Returns the text of one SQL file below `sql/`, named without its ending.

    Args:
        name: For instance "ledger/cursor".

    Raises:
        SqlTextError: There is no such file.
    """
    path = sql_directory() / f"{name}.sql"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SqlTextError(f"{path}: there is no such SQL file") from error


def cluster_form(text: str) -> str:
    """Returns the text with its cluster comments turned into SQL."""
    return _CLUSTER_COMMENT.sub(r"\1", text)


def split_statements(text: str, *, name: str = "SQL") -> list[str]:
    """Splits a text into its statements, without comments and semicolons.

    Args:
        text: Any number of statements.
        name: What the text is, for the error.

    Raises:
        SqlTextError: A string, comment or heredoc is not closed; the text names the line.
    """
    statements: list[str] = []
    pieces: list[str] = []
    has_content = False
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # the last alternative takes any character
            raise AssertionError(f"no token at {position}")
        kind, piece, position = match.lastgroup, match[0], match.end()
        if kind == "block_comment":
            position = _comment_end(text, match.start(), name)
            pieces.append(" ")
        elif kind == "line_comment":
            pieces.append(" ")
        elif kind == "semicolon":
            if has_content:
                statements.append("".join(pieces).strip())
            pieces, has_content = [], False
        elif kind == "other" and piece in "'\"`":
            raise SqlTextError(f"{name}: line {_line(text, match.start())}: {piece} is not closed")
        else:
            pieces.append(piece)
            has_content = has_content or kind != "space"
    if has_content:
        statements.append("".join(pieces).strip())
    return statements


def _comment_end(text: str, start: int, name: str) -> int:
    """Returns the position after the comment that starts there; comments nest."""
    depth, position = 1, start + 2
    while depth:
        opening, closing = text.find("/*", position), text.find("*/", position)
        if closing < 0:
            raise SqlTextError(f"{name}: line {_line(text, start)}: /* is not closed")
        if 0 <= opening < closing:
            depth, position = depth + 1, opening + 2
        else:
            depth, position = depth - 1, closing + 2
    return position


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
