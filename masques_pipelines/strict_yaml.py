"""Reads YAML as people mean it: a key that is there twice is an error."""

from collections.abc import Hashable
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
