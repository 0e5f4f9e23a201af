"""Makes the world of `masques demo`: small, with a trouble of each kind, its past ending now."""

import time
from pathlib import Path
from typing import Final

from masques_pipelines.sandbox.world.shape import DAY, shape_of
from masques_pipelines.sandbox.world.store import World, make_world, plan, shown_time
from masques_pipelines.sandbox.world.troubles.catalog import KINDS

_SEED: Final = 1
_DAYS: Final = 10
_SCALE: Final = 0.02


def make_demo_world(root: Path) -> str:
    """Makes the world in a folder without any; returns a line about it."""
    now_ns = time.time_ns()
    shape = shape_of(_SEED, (now_ns // DAY - _DAYS + 1) * DAY, _SCALE)
    troubles = plan(shape, now_ns, len(KINDS))
    make_world(root, World(shape, now_ns, now_ns, troubles=troubles))
    return (
        f"world      seed {_SEED}, {_DAYS} days up to {shown_time(now_ns)}, {len(troubles)} "
        f"troubles: {root}"
    )
