"""What a reader may ask of a served warehouse: nothing that changes, stops or takes it all.

The engine has one user, so a reader is a session of it whose settings say `readonly = 1`: the
engine then refuses to write, to change a setting, and to read files or addresses as tables. Four
things it lets through are refused here, by the statement's tokens: KILL, INTO OUTFILE, the function
`file`, and the bookkeeping of the pipeline (raw rows in quarantine), as sql/roles.sql has it.
"""

from collections.abc import Mapping
from typing import Final

from masques_pipelines.warehouse.statements import ServerError, is_query, is_quoted, tokens

# Of each statement of a reader.
LIMITS: Final[Mapping[str, int]] = {
    "max_execution_time": 60,
    "max_memory_usage": 400_000_000,
    "max_result_rows": 1_000_000,
    "max_result_bytes": 500_000_000,
    "max_threads": 2,
    "max_bytes_before_external_group_by": 100_000_000,
    "max_bytes_before_external_sort": 100_000_000,
    "max_temporary_data_on_disk_size_for_query": 2_000_000_000,
}
# How results are written, and what times are read in: a reader may choose these.
_FREE: Final = ("output_format_", "format_", "date_time_", "session_timezone", "join_use_nulls")
# Who asks for a batch of rows to be sent asynchronously, or names its query, asks for nothing.
_IGNORED: Final = frozenset({"log_comment", "readonly", "async_insert", "wait_for_async_insert"})
# `merge` takes names by a regular expression; an identifier could be bound instead of written.
_REFUSED_NAMES: Final = frozenset({b"file", b"masques_ops", b"merge", b"identifier"})
_REFUSED_PREFIXES: Final = (b"mergetree", b"joinget")
_READONLY: Final = 164
_ACCESS_DENIED: Final = 497


def check_reading(sql: bytes, database: str, params: Mapping[str, str]) -> None:
    """Refuses a statement that a reader may not send.

    Raises:
        ServerError: As a server's, code 164 or 497.
    """
    if not is_query(sql):
        raise _refused(_READONLY, "Cannot execute query in readonly mode", "READONLY")
    words = [match.group() for match in tokens(sql)]
    for word, following in zip(words, [*words[1:], b""], strict=True):
        if word.upper() == b"INTO" and following.upper() == b"OUTFILE":
            raise _refused(_READONLY, "A reader writes no file", "READONLY")
        if is_quoted(word) and (b"\\" in word or word[:1] in word[1:-1]):
            raise _denied("a name with escapes")
        name = word.strip(b'"`').lower() if word[:1] != b"'" else b""
        if name in _REFUSED_NAMES or name.startswith(_REFUSED_PREFIXES):
            raise _denied(name.decode())
    # A name in a text is one for dictionaries, for functions that take names of tables.
    texts = [database, *params.values()]
    texts += [word.decode(errors="replace") for word in words if word[:1] == b"'"]
    if database == "masques_ops" or any(text.lower() == "'masques_ops'" for text in texts):
        raise _denied("masques_ops")


def reader_settings(asked: Mapping[str, str]) -> dict[str, str]:
    """Returns all settings of a reader's statement; a limit may be lowered, never raised.

    Raises:
        ServerError: A setting may not be changed, code 164.
    """
    settings = {name: str(limit) for name, limit in LIMITS.items()}
    for name, value in asked.items():
        if name in LIMITS:
            if not value.isascii() or not value.isdigit() or not 0 < int(value) <= LIMITS[name]:
                raise _refused(
                    _READONLY,
                    f"Cannot modify '{name}' setting in readonly mode: a reader has 1 to "
                    f"{LIMITS[name]}",
                    "READONLY",
                )
            settings[name] = value
        elif name.startswith(_FREE):
            settings[name] = value
        elif name not in _IGNORED:
            raise _refused(
                _READONLY, f"Cannot modify '{name}' setting in readonly mode", "READONLY"
            )
    return settings


def _denied(what: str) -> ServerError:
    return _refused(
        _ACCESS_DENIED, f"reader: Not enough privileges: {what} is not for readers", "ACCESS_DENIED"
    )


def _refused(code: int, text: str, name: str) -> ServerError:
    return ServerError(code, f"Code: {code}. DB::Exception: {text}. ({name})")
