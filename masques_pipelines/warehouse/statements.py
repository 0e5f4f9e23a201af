"""Reads as much of a statement as must be known before the engine gets it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    |'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`
    |\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\w+|.""",
    re.DOTALL | re.VERBOSE,
)
WORD = re.compile(rb"[A-Za-z_]\w*")
# Of statements that give a result set.
_FIRST_WORDS = frozenset(
    {b"SELECT", b"WITH", b"FROM", b"(", b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS"}
)
_CHANGING_WORDS = frozenset(
    {
        *(b"INSERT", b"CREATE", b"ALTER", b"DROP", b"TRUNCATE", b"OPTIMIZE", b"RENAME"),
        *(b"EXCHANGE", b"ATTACH", b"DETACH", b"DELETE", b"UPDATE", b"KILL", b"SYSTEM", b"GRANT"),
        *(b"REVOKE", b"BACKUP", b"RESTORE", b"MOVE", b"UNDROP", b"REPLACE", b"SET", b"USE"),
    }
)


class ServerError(Exception):
    """An error as a client sees it: ClickHouse's code and ClickHouse's text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Statement:
    """One statement; `data` is what follows the FORMAT of an insert, None for all others."""

    sql: bytes
    format: str  # of the data, or of the result when the statement names one, else ''
    data: bytes | None = None

    @property
    def text(self) -> str:
        """The SQL as it was sent, without the data: what faults match and the log shows."""
        tail = "" if self.data is None else f"FORMAT {self.format}"
        return self.sql.decode(errors="replace") + tail


def tokens(sql: bytes) -> Iterator[re.Match[bytes]]:
    """Yields the tokens of a statement, without comments and blanks."""
    return (match for match in _TOKEN.finditer(sql) if match["skip"] is None)


def is_query(sql: bytes) -> bool:
    """Says whether a statement gives a result set."""
    first = next(tokens(sql), None)
    return first is not None and first.group().upper() in _FIRST_WORDS


def changes(sql: bytes) -> bool:
    """Says whether a statement is of a kind that changes or stops something."""
    first = next(tokens(sql), None)
    return first is not None and first.group().upper() in _CHANGING_WORDS


def is_quoted(token: bytes) -> bool:
    """Says whether a token is a name in quotes."""
    return token[:1] in {b'"', b"`"}


def read_statement(sql: bytes) -> Statement:
    """Cut an insert's data off; refuse what a server would refuse over HTTP."""
    insert = _insert_with_data(sql)
    if insert is not None:
        return insert
    found = list(tokens(sql))
    words = [token.group().upper() for token in found]
    if not words or words == [b";"]:
        raise ServerError(62, "Code: 62. DB::Exception: Syntax error: Empty query. (SYNTAX_ERROR)")
    if b";" in words[:-1]:
        # The embedded engine would run them all.
        position = found[words.index(b";")].end()
        raise ServerError(
            62,
            "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed):"
            f" failed at position {position} (end of query). (SYNTAX_ERROR)",
        )
    if words[0] in {b"SET", b"USE"} or words[:2] == [b"CREATE", b"TEMPORARY"]:
        # It would change a handle that the next client gets.
        raise not_implemented(f"{words[0].decode()} needs a session")
    return Statement(sql, _result_format([token.group() for token in found]))


def _insert_with_data(sql: bytes) -> Statement | None:
    """`INSERT … FORMAT f <data>`, also with `SELECT … FROM input(…)`; None for all else."""
    depth = 0
    selects = reads_input = False
    before: re.Match[bytes] | None = None
    for index, match in enumerate(tokens(sql)):
        word = match.group().upper()
        if index == 0 and word != b"INSERT":
            return None
        named = before is not None and before.group().upper() == b"FORMAT" and depth == 0
        if before and named and WORD.fullmatch(word) and (not selects or reads_input):
            data = sql[_data_start(sql, match.end()) :]
            return Statement(sql[: before.start()], match.group().decode(), data)
        if word == b"VALUES" and depth == 0 and not selects:
            return None  # rows in SQL text, which may hold expressions and parameters
        depth += (word == b"(") - (word == b")")
        selects = selects or word in {b"SELECT", b"WITH"}
        reads_input = reads_input or calls_input(before, match)
        before = match
    return None


def calls_input(before: re.Match[bytes] | None, match: re.Match[bytes]) -> bool:
    """Whether two neighbours are the start of `input(…)`, which is not a column of that name."""
    return before is not None and before.group().upper() == b"INPUT" and match.group() == b"("


def _data_start(sql: bytes, offset: int) -> int:
    """Skip what ClickHouse skips behind FORMAT f: blanks, then one line end."""
    blanks = re.compile(rb"[ \t\f]*\r?\n?").match(sql, offset)
    return blanks.end() if blanks else offset


def _format_place(words: list[bytes]) -> int | None:
    """The index of the word FORMAT of a trailing clause; None without one."""
    for index in range(len(words) - 2, 0, -1):
        behind = [word.upper() for word in words[index + 2 : index + 3]]
        if words[index].upper() == b"FORMAT" and behind in ([], [b";"], [b"SETTINGS"]):
            return index
    return None


def _result_format(words: list[bytes]) -> str:
    place = _format_place(words)
    return "" if place is None else words[place + 1].decode()


def result_format(sql: bytes) -> str:
    """Returns the format that a query names for its result; '' when it names none."""
    return _result_format([match.group() for match in tokens(sql)])


def into_file(sql: bytes, path: str, default_format: str) -> bytes:
    """Returns a query that writes its result into a file that is there, a named pipe for one."""
    found = list(tokens(sql))
    while found and found[-1].group() == b";":
        found.pop()
    clause = f" INTO OUTFILE {quoted(path)} APPEND ".encode()
    place = _format_place([match.group() for match in found])
    if place is None:
        end = found[-1].end()
        return sql[:end] + clause + f"FORMAT {default_format}".encode()
    start = found[place].start()
    return sql[:start] + clause + sql[start : found[-1].end()]


def not_implemented(what: str) -> ServerError:
    """Returns the error of something that only a whole server does."""
    return ServerError(48, f"Code: 48. DB::Exception: {what}: not served. (NOT_IMPLEMENTED)")


def quoted(text: str) -> str:
    """Returns a text as a literal of SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
