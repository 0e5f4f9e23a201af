"""Runs commands one after the other in one process of their own: loading them takes a second each.

The test's process cannot run them: it has the tests' engine, and an engine is of one folder.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.support.paths import ROOT
from tests.support.patience import run_python

REMOVE = "remove"
_RUN = """
import contextlib, io, json, os, shutil, sys
from unittest.mock import patch
from masques_pipelines.cli import main

done = []
for arguments in json.loads(sys.argv[1]):
    if arguments[0] == "remove":
        shutil.rmtree(arguments[1])
        continue
    own = {}
    while "=" in arguments[0]:
        name, value = arguments.pop(0).split("=", 1)
        own[name] = value
    sys.argv, out, err, status = ["masques", *arguments], io.StringIO(), io.StringIO(), 0
    said = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with patch.dict(os.environ, own), said[0], said[1]:
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    done.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    stdout: str
    stderr: str


def commands(environment: Mapping[str, str], *lines: Sequence[str]) -> list[Done]:
    """Runs commands by their arguments; one that is (REMOVE, folder) removes a folder.

    NAME=value before a command is in its environment, as in a shell.
    """
    done = run_python(_RUN, json.dumps(lines), cwd=ROOT, env=dict(environment))
    assert done.returncode == 0, done.stderr
    return [Done(*each) for each in json.loads(done.stdout.splitlines()[-1])]
