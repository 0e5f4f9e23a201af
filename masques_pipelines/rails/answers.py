"""Checks what nodes answer against a type: strict and bounded; what is not used is ignored.

An answer of another shape is a ShapeError, which names the place and never a value. What a rail
cannot do without is read by `read_answer`; of an item that is only its own problem, `item_of` gives
the error in its place.
"""

import re
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from masques_pipelines.rails.protocol import RailUnavailableError

# Times that a payment can have: from Bitcoin's first block to the last year of DateTime64(9).
TIME_MIN_S: Final = 1_231_006_505
TIME_MAX_S: Final = 9_214_646_399
# Keys of an answer may be anything: only names of fields are shown.
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


class ShapeError(Exception):
    """An answer has another shape than the method promises; the text is the place, no value.

    Attributes:
        item: What names the item that it is about, '' when that cannot be read either.
    """

    item: str = ""


def is_time(seconds: int) -> bool:
    """Returns whether a payment can have this time, seconds since 1970."""
    return TIME_MIN_S <= seconds <= TIME_MAX_S


def read_item(kind: type[Model] | TypeAdapter[Any], value: Any) -> Any:
    """Returns one item of an answer, checked.

    Raises:
        ShapeError: It has another shape; the text is the place.
    """
    try:
        if isinstance(kind, TypeAdapter):
            return kind.validate_python(value)
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(_step(each) for each in first["loc"]) or "answer"
        raise ShapeError(f"{place} ({first['type']})") from None
    except RecursionError:
        raise ShapeError("answer (too deep)") from None


def item_of(kind: type[Model] | TypeAdapter[Any], value: Any) -> Any:
    """Returns one item of an answer, or the ShapeError that says what is wrong with it."""
    try:
        return read_item(kind, value)
    except ShapeError as error:
        return error


def item_or_none(kind: type[Model], value: Any) -> Model | None:
    """Returns one item of an answer, None when it is missing, an error, or of another shape."""
    found = item_of(kind, value)
    return found if isinstance(found, kind) else None


def read_answer(
    kind: type[Model] | TypeAdapter[Any], value: Any, *, method: str, node: str, server: str
) -> Any:
    """Returns an answer that a rail cannot do without, checked.

    Args:
        kind: What it should be.
        value: What the node answered.
        method: Method of the call, for the text.
        node: The endpoint, without credentials.
        server: What answers there: "an EVM node".

    Raises:
        RailUnavailableError: It has another shape.
    """
    try:
        return read_item(kind, value)
    except ShapeError as error:
        raise nonsense(node, f"{method}: {error}", server) from None


def nonsense(node: str, problem: str, server: str) -> RailUnavailableError:
    """Returns the error of an answer that a rail cannot do without."""
    return RailUnavailableError(
        f"{node}: answered nonsense: {problem}: check that it is {server}; the next run tries again"
    )


def _step(part: int | str) -> str:
    return str(part) if isinstance(part, int) or _NAME.fullmatch(part) else "?"
