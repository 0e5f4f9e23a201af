"""The code location as Dagster gets it, loaded once for all tests of a process."""

from typing import Final

from masques_pipelines.definitions import defs as load

defs: Final = load()
