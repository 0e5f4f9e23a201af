"""What a reader of files knows about the fields of the rows it expects."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from masques_pipelines.landing.chunks import FileProblemError

_NAMES_SHOWN: Final = 8
_NAME_SHOWN_LENGTH: Final = 40
_SEPARATORS: Final = {";": "a semicolon", "\t": "a tab", "|": "a bar"}
_VALUE: Final = re.compile(
    r"[+-]?\d+(\.\d+)?|[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|\d{4}-\d\d-\d\d.*", re.IGNORECASE
)


@dataclass(frozen=True)
class Fields:
    """The fields that rows of a file may have.

    Attributes:
        key: The field that every row must have; '' when there is none.
        known: Fields that are read. Others are kept or counted, never trusted.
    """

    key: str = ""
    known: frozenset[str] = frozenset()


# Of files whose rows may have any fields.
ANY_FIELDS: Final = Fields()


def check_names(names: Sequence[str], fields: Fields) -> None:
    """Refuses a header or schema of which no row could be read.

    It has no key field, or a name is empty or there twice.

    Raises:
        FileProblemError: bad_header, with the names that were found and the likely cause.
    """
    if fields.key and fields.key not in names:
        shown = ", ".join(repr(name[:_NAME_SHOWN_LENGTH]) for name in names[:_NAMES_SHOWN])
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        raise FileProblemError(
            "bad_header",
            f"no field is named {fields.key}; found {shown}{more}: {_cause(names, fields.key)}",
        )
    if "" in names or len(set(names)) != len(names):
        raise FileProblemError(
            "bad_header",
            "a field name is empty or there twice: name each field once, and deliver again",
        )


def _cause(names: Sequence[str], key: str) -> str:  # noqa: PLR0911 - one for each cause
    first = names[0] if names else ""
    if "\0" in "".join(names) or first.startswith(("\ufffd\ufffd", "\xff\xfe", "\xfe\xff")):
        return "the text is not UTF-8, perhaps UTF-16: deliver it in UTF-8"
    if first.lower().startswith("sep="):
        return "the first line names a separator: leave it out"
    if first.startswith(("#", "//")):
        return "the first line is a comment: leave it out"
    if len(names) == 1:
        for separator, called in _SEPARATORS.items():
            if separator in first:
                return f"the separator is {called}: deliver it with commas"
    for name in names:
        if _letters(name) == _letters(key):
            return f"{name!r} is written differently: name it {key}"
    if any(_VALUE.fullmatch(name.strip()) for name in names):
        return "the first line is a row, not names: deliver it with a line of field names"
    return "these may be rows of another table: see docs/intake.md for the names"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
