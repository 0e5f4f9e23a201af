"""Wherever a rail is shown, its network is beside it: `base` means any EVM network."""

import json
import re
from typing import Any

from tests.support.paths import ROOT

# A verdict on the rail's leg of a payment, not a rail.
_VERDICT = "verdict on ledger and rail"
_BESIDE = {"rail": "network", "rail_name": "rail_network"}


def _columns(declared: dict[str, Any]) -> dict[str, str]:
    schema = declared["schema"]
    return {name: schema["comments"].get(name, "") for name in schema["columns"]}


def test_every_mart_that_shows_a_rail_shows_its_network() -> None:
    objects = json.loads((ROOT / "sql" / "schema.json").read_text("utf-8"))["objects"]
    shown = {}
    for name, declared in objects.items():
        columns = _columns(declared)
        for rail, network in _BESIDE.items():
            if rail in columns and _VERDICT not in columns[rail]:
                shown[name] = network in columns
    assert [name for name, has_network in shown.items() if not has_network] == []
    assert len([name for name in shown if name.startswith("masques_marts.")]) >= 4


def test_every_statement_of_the_rails_that_shows_a_rail_shows_its_network() -> None:
    names = "status newest_runs by_rail findings claims chain_says none_is_overdue"
    for name in names.split():
        text = (ROOT / "sql" / "rails" / f"{name}.sql").read_text("utf-8")
        last = text.rsplit("SELECT", 1)[1].split("FROM", 1)[0]
        assert re.search(r"\brail\b", last), name
        assert re.search(r"\bnetwork\b", last), name
