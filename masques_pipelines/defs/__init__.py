"""Everything of Dagster: assets, checks, jobs, schedules and sensors, by area."""

from typing import Final

# Where Dagster finds them. Here, since commands name it and load nothing of Dagster.
MODULE: Final = "masques_pipelines.definitions"
