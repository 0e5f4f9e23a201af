"""What the engine says of missing cgroups stays off stderr, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOISE = """\
Cannot use cgroups reader: Code: 107. DB::Exception: Cannot find cgroups v1 or v2 current memory \
file. (FILE_DOESNT_EXIST), Stack trace (when copying this message, always include the lines below):

0. ? @ 0x000000001d967133
1. ZSTD_CCtx_setParams @ 0x000000000001f3dd
 (version 26.9.2.1)
"""
SAYS = """
import os, sys
from pathlib import Path
from masques_pipelines.warehouse.engine_noise import without_cgroup_noise

print("before", file=sys.stderr)
try:
    with without_cgroup_noise(Path(sys.argv[1])):
        os.write(2, sys.argv[2].encode())
        print("within", file=sys.stderr)
        os.write(2, sys.argv[2].encode() + b"Code: 76. DB::Exception: no folder\\n")
        raise OSError
except OSError:
    print("after", file=sys.stderr)
"""


@pytest.mark.parametrize("file", ["", "memory.stat", "memory/memory.stat"])
def test_only_the_noise_is_left_out_and_only_without_cgroups(tmp_path: Path, file: str) -> None:
    if file:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    done = subprocess.run(
        [sys.executable, "-c", SAYS, str(tmp_path), NOISE],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    noise = NOISE if file else ""
    said = "Code: 76. DB::Exception: no folder\n"
    assert done.stderr == f"before\n{noise}within\n{noise}{said}after\n"
