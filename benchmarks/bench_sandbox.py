"""What it costs to make a world: CPU seconds and peak memory, files, journal and rails included.

`make bench-sandbox` makes 90 days with a million requests. `ARGS="--scale 10"` makes ten times as
many: memory stays bounded, since one day is made at a time.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pyarrow import parquet

from masques_pipelines.sandbox.world.nodes import open_node
from masques_pipelines.sandbox.world.shape import DAY, RAILS, shape_of
from masques_pipelines.sandbox.world.store import World, make_world, read_payments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    end = time.time_ns() // DAY * DAY
    shape = shape_of(asked.seed, end - asked.days * DAY, asked.scale)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        began, cpu = time.monotonic(), time.process_time()
        make_world(root, World(shape, end, end))
        made_s, made_cpu_s = time.monotonic() - began, time.process_time() - cpu
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        files = list((root / "landing" / "api_requests").iterdir())
        requests = sum(parquet.read_metadata(path).num_rows for path in files)
        events = sum(path.stat().st_size for path in (root / "ledger" / "days").iterdir()) // 384
        payments = read_payments(root)
        print(
            f"made       {requests:,} requests, {events:,} change events, {len(payments):,} "
            f"payments in {made_s:.1f} s, {made_cpu_s:.1f} CPU s, {peak_mb:.0f} MB at most"
        )
        for rail, count in zip(RAILS, np.bincount(payments["rail"], minlength=3), strict=True):
            cpu = time.process_time()
            open_node(root, rail)
            print(f"{rail:<10} {count:,} payments, opened in {time.process_time() - cpu:.1f} CPU s")


if __name__ == "__main__":
    main()
