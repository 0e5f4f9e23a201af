"""Makes the world of `masques demo`: small, with a trouble of each kind, its past ending now."""

import time
from pathlib import Path
from typing import Final

from masques_pipelines.sandbox.world.store import make_world, shown_time, world_until
from masques_pipelines.sandbox.world.troubles.catalog import KINDS

_SEED: Final = 1
_DAYS: Final = 10
_SCALE: Final = 0.02


def make_demo_world(root: Path) -> str:
    """Makes the world in a folder without any; returns a line about it."""
    now_ns = time.time_ns()
    troubles = len(KINDS)
    world = world_until(now_ns, seed=_SEED, days=_DAYS, scale=_SCALE, troubles=troubles)
    make_world(root, world)
    return (
        f"world      seed {_SEED}, {_DAYS} days up to {shown_time(now_ns)}, {troubles} "
        f"troubles: {root}"
    )
