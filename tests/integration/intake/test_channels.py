"""Channels: each row knows who delivered it, and nobody writes what he may not."""

from pathlib import Path

import pandas as pd
import pytest

from masques_pipelines.intake import batches
from masques_pipelines.intake.channels import ONE_CHANNEL, ChannelsError, read_channels
from masques_pipelines.intake.frames import load_frame
from masques_pipelines.intake.replay import replay
from masques_pipelines.intake.run import load_table
from masques_pipelines.intake.tables import TABLES
from masques_pipelines.quarantine import Selection
from masques_pipelines.warehouse.client import Warehouse
from tests.support.gate_rows import GOOD, event, identity, ndjson, request
from tests.support.landing_zone import Zone, counts, in_quarantine

CHANNELS = """
- {prefix: gate/, channel: gate, tables: [api_requests, masque_sessions]}
- {prefix: reputation_events/platform/, channel: platform, attests: true}
- {prefix: reputation_events/, channel: partners}
- {prefix: reputation_events/p-, channel: partner-p}
- {prefix: identities/, channel: registry}
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "channels.yaml"
    file.write_text(CHANNELS)
    return file


def said(warehouse: Warehouse, table: str) -> list[tuple[str, int]]:
    return warehouse.rows(
        f"SELECT toString(channel), count() FROM {TABLES[table].target} "
        "GROUP BY channel ORDER BY channel"
    )


def test_without_a_file_all_rows_are_of_one_channel_that_attests_nothing(
    warehouse: Warehouse, zone: Zone
) -> None:
    for table, good in GOOD.items():
        # A producer cannot name its channel.
        zone.drop(f"{table}/a.ndjson", ndjson([{**good(1), "channel": "pipeline"}]))
        zone.load(warehouse, table)
        assert said(warehouse, table) == [("landing", 1)]
    frame = pd.DataFrame([request(2)])
    load_frame(warehouse, "api_requests", frame, name="x")
    assert said(warehouse, "api_requests") == [("frame", 1), ("landing", 1)]
    assert warehouse.rows(
        "SELECT toString(channel), attests, tables, prefixes "
        "FROM masques_ops.landing_channels_current"
    ) == [("landing", 0, sorted(TABLES), [""])]
    versions = "SELECT DISTINCT toString(channel) FROM masques_ops.identity_versions"
    assert warehouse.rows(versions) == [("landing",)]
    assert ONE_CHANNEL.refusal("api_requests/x.ndjson", "api_requests") == ""


def test_the_longest_prefix_says_who_delivered_a_file_and_what_he_may_write(
    warehouse: Warehouse, zone: Zone, written: Path
) -> None:
    channels = read_channels(written)
    files = {
        "gate/api_requests/a.ndjson": ndjson([request(1)]),
        "gate/identities/a.ndjson": ndjson([identity(1)]),  # the gate may not
        "api_requests/a.ndjson": ndjson([request(2)]),  # nobody may here
        "reputation_events/platform/a.ndjson": ndjson([event(1)]),
        "reputation_events/other.ndjson": ndjson([event(2)]),
        "reputation_events/p-day.ndjson": ndjson([event(3), event(4, category="luck")]),
        "identities/a.ndjson": ndjson([identity(2)]),
    }
    for path, data in files.items():
        zone.drop(path, data)
    for table in TABLES.values():
        load_table(warehouse, zone.landing, table, channels=channels, settle_s=-1)
    assert said(warehouse, "api_requests") == [("gate", 1)]
    assert said(warehouse, "identities") == [("registry", 1)]
    assert said(warehouse, "reputation_events") == [
        ("partner-p", 1),
        ("partners", 1),
        ("platform", 1),
    ]
    assert in_quarantine(warehouse) == [
        ("api_requests/a.ndjson", 0, "no_channel"),
        ("gate/identities/a.ndjson", 0, "not_allowed"),
        ("reputation_events/p-day.ndjson", 2, "unknown_category"),
    ]
    assert warehouse.rows(
        "SELECT toString(channel), attests, tables FROM masques_ops.landing_channels_current "
        "ORDER BY channel"
    ) == [
        ("gate", 0, ["api_requests", "masque_sessions"]),
        ("partner-p", 0, ["reputation_events"]),
        ("partners", 0, ["reputation_events"]),
        ("platform", 1, ["reputation_events"]),
        ("registry", 0, ["identities"]),
    ]

    # What was refused is loaded once it is allowed; a channel that is gone may nothing.
    written.write_text("- {prefix: gate/, channel: gate}\n- {prefix: '', channel: others}\n")
    channels = read_channels(written)
    replayed = replay(warehouse, zone.landing, Selection(), channels=channels)
    assert (replayed.tried, replayed.closed) == (3, 2)
    assert said(warehouse, "api_requests") == [("gate", 1), ("others", 1)]
    assert said(warehouse, "identities") == [("gate", 1), ("registry", 1)]
    load_table(warehouse, zone.landing, TABLES["identities"], channels=channels, settle_s=-1)
    assert warehouse.rows(
        "SELECT toString(channel), attests, length(tables) "
        "FROM masques_ops.landing_channels_current WHERE length(tables) = 0 OR attests"
    ) == [(name, 0, 0) for name in ("partner-p", "partners", "platform", "registry")]


def test_a_line_of_a_channel_that_may_not_any_more_is_not_replayed(
    warehouse: Warehouse, zone: Zone, written: Path
) -> None:
    zone.drop("identities/a.ndjson", ndjson([identity(1, status="gone")]))
    table = TABLES["identities"]
    load_table(warehouse, zone.landing, table, channels=read_channels(written), settle_s=-1)
    written.write_text("- {prefix: gate/, channel: gate}\n")
    replayed = replay(warehouse, zone.landing, Selection(), channels=read_channels(written))
    assert (replayed.tried, replayed.closed) == (1, 0)
    assert warehouse.scalar("SELECT attempts FROM masques_ops.quarantine FINAL") == 1


def test_the_same_row_from_another_channel_is_a_duplicate_and_the_first_stays(
    warehouse: Warehouse, zone: Zone, written: Path
) -> None:
    channels = read_channels(written)
    table = TABLES["reputation_events"]
    zone.drop("reputation_events/a.ndjson", ndjson([event(1)]))
    load_table(warehouse, zone.landing, table, channels=channels, settle_s=-1)
    zone.drop("reputation_events/platform/b.ndjson", ndjson([event(1), event(2)]))
    done = load_table(warehouse, zone.landing, table, channels=channels, settle_s=-1)
    assert counts(done) == {"rows_read": 2, "loaded": 1, "duplicates": 1}
    assert said(warehouse, "reputation_events") == [("partners", 1), ("platform", 1)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{prefix: gate/}", "should be a valid list"),
        ("- {prefix: gate/, channel: gate, may: all}", "0.may"),
        ("- {prefix: gate/, channel: Gate}", "0.channel"),
        ("- {prefix: gate/, channel: pipeline}", "pipeline calls its own"),
        ("- {prefix: gate, channel: gate}", "begin with a folder and a slash"),
        ("- {prefix: /etc/, channel: gate}", "not a path below"),
        ("- {prefix: ../up/, channel: gate}", "not a path below"),
        ("- {prefix: exchange_rates/, channel: gate}", "not a table of the intake"),
        ("- {prefix: gate/, channel: gate, tables: [settlements]}", "'settlements' is not a table"),
        ("- {prefix: identities/, channel: gate, tables: [api_requests]}", "of that table only"),
        ("- {prefix: gate/, channel: gate, attests: yes please}", "0.attests"),
        ("- {prefix: a/, channel: a}\n- {prefix: a/, channel: b}", "there twice"),
        (
            "- {prefix: a/, channel: a}\n- {prefix: b/, channel: a, attests: true}",
            "attests by one entry and not by another",
        ),
        ("[", "cannot be read"),
    ],
)
def test_a_file_of_channels_that_is_not_valid_says_where(
    written: Path, text: str, error: str
) -> None:
    written.write_text(text)
    with pytest.raises(ChannelsError, match=error) as raised:
        read_channels(written)
    assert str(raised.value).startswith(f"{written}: ")
    assert "\n" not in str(raised.value)


def test_only_a_channel_that_attests_speaks_for_the_platform(
    warehouse: Warehouse, zone: Zone, written: Path
) -> None:
    attestor = "b66f28e4-5f35-5b02-84a3-df8135e0a8ed"
    channels = read_channels(written)
    for number, path in enumerate(("platform/a", "other", "p-day")):
        nested = event(2 * number, attributes={"counterparty_id": attestor.upper()})
        # A field that the table lacks goes into attributes.
        beside = event(2 * number + 1, attributes={}, counterparty_id=attestor)
        zone.drop(f"reputation_events/{path}.ndjson", ndjson([nested, beside]))
    load_table(warehouse, zone.landing, TABLES["reputation_events"], channels=channels, settle_s=-1)
    assert said(warehouse, "reputation_events") == [("platform", 2)]
    assert {row[2] for row in in_quarantine(warehouse)} == {"forged_attestor"}
    assert len(in_quarantine(warehouse)) == 4


def test_when_an_identity_began_is_said_once(warehouse: Warehouse, zone: Zone) -> None:
    first = identity(1, created_at="2026-11-01T00:00:00Z", updated_at="2026-11-02T00:00:00Z")
    zone.drop("identities/a.ndjson", ndjson([first]))
    zone.load(warehouse, "identities")
    later = {**first, "updated_at": "2026-11-03T00:00:00Z"}
    earlier = {**later, "created_at": "2026-10-01T00:00:00Z", "display_name": "older than it was"}
    zone.drop("identities/b.ndjson", ndjson([earlier, {**later, "display_name": "renamed"}]))
    zone.load(warehouse, "identities")
    assert {row[2] for row in in_quarantine(warehouse)} == {"created_at_changed"}
    names = "SELECT display_name FROM masques.identities FINAL"
    assert warehouse.rows(names) == [("renamed",)]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_when_an_identity_began_is_said_once_in_one_run(
    warehouse: Warehouse, zone: Zone, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """In one file, over two files, and over batches, the first good line says it."""
    if parts > 2:
        monkeypatch.setattr(batches, "BATCH_CHUNKS", 1)
    bad = identity(1, created_at="2026-08-01T00:00:00Z", status="asleep")
    lines = [
        bad,
        *(
            identity(
                1,
                created_at=f"2026-{month}-01T00:00:00Z",
                updated_at=f"2026-11-0{number}T00:00:00Z",
            )
            for number, month in enumerate(("10", "11", "10"), start=1)
        ),
    ]
    for part in range(parts):
        zone.drop(f"identities/{part}.ndjson", ndjson(lines[4 // parts * part :][: 4 // parts]))
    zone.load(warehouse, "identities")
    began = "SELECT created_at, updated_at FROM masques_ops.identity_versions ORDER BY updated_at"
    assert [[f"{at:%m-%d}" for at in row] for row in warehouse.rows(began)] == [
        ["10-01", "11-01"],
        ["10-01", "11-03"],
    ]
    assert sorted(row[2] for row in in_quarantine(warehouse)) == [
        *("created_at_changed", "unknown_status"),
    ]
