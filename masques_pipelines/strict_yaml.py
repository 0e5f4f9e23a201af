"""Reads YAML as people mean it: a key that is there twice is an error."""

from collections.abc import Hashable, Sequence
from typing import Any

import yaml


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice; plain YAML silently takes the later one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the base class's signature
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Returns what a YAML text says.

    Raises:
        yaml.YAMLError: It is not YAML, or has a key twice; one with a mark says where.
    """
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader's subclass


def line_of(text: str, place: Sequence[int | str]) -> int:
    """Returns the line of a place in a YAML text that can be read, of what is nearest around it.

    Args:
        text: The text.
        place: Keys and positions, from the outside in; what is not there is passed over.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for step in place:
        inner = _inner(node, step)
        if inner is None:
            continue
        mark, node = inner
        line = mark.line + 1
    return line


def _inner(node: yaml.Node | None, step: int | str) -> tuple[yaml.Mark, yaml.Node] | None:
    """Returns where one step leads, and the mark of its key or item."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark, value
    return None
