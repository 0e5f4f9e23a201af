"""MASQUES_ALERTS_FILE: what it may say, and one line for each way to get it wrong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from masques_pipelines.alerts.fault import Fault
from masques_pipelines.alerts.rules import read_rules
from masques_pipelines.errors import SettingError

SECRET = "hunter2"
GOOD = """
to:
  - url: json://127.0.0.1:9/hook
  - url: mailto://user:hunter2@mail.example.com
    severity: error
    owner: payments
ui: https://dagster.example.com/
quiet: {from: "22:00", to: "07:00", timezone: Europe/Berlin}
warnings_every_minutes: 30
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "alerts.yaml"
    file.write_text(text)
    return file


def test_without_a_file_nobody_is_told() -> None:
    assert read_rules(None).to == ()


def test_who_is_told_of_what(tmp_path: Path) -> None:
    rules = read_rules(written(tmp_path, GOOD))
    faults = [
        Fault("a", severity, "a", "", owner, "freshness", "")
        for severity in ("error", "warning")
        for owner in ("payments", "risk")
    ]
    assert [[to.wants(each) for each in faults] for to in rules.to] == [
        [True, True, True, True],
        [True, False, False, False],
    ]
    assert SECRET not in repr(rules)
    # 21:30 UTC is 22:30 in Berlin.
    hours = {5: True, 6: False, 12: False, 20: False, 21: True, 23: True}
    assert {
        hour: rules.are_quiet(datetime(2026, 11, 28, hour, 30, tzinfo=UTC)) for hour in hours
    } == hours


def test_a_receiver_may_lie_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "slack"
    secret.write_text("slack://a/b/c\n")
    (receiver,) = read_rules(written(tmp_path, f"to: [{{url_file: {secret}}}]")).to
    assert receiver.address() == "slack://a/b/c"
    secret.unlink()
    with pytest.raises(SettingError, match=r"slack: it cannot be read \(FileNotFoundError\)"):
        receiver.address()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("to: [", "cannot be read as YAML"),
        ("- a", "file: Input should be"),
        ("too: []", "too: Extra inputs"),
        ("to: [{}]", "to.0: Value error, give url, or url_file"),
        (f"to: [{{url: 'json://u:{SECRET}@h', url_file: /x}}]", "to.0: Value error, give url"),
        (f"to: [{{url: 'json://u:{SECRET}@h', severity: loud}}]", "to.0.severity: Input should"),
        ("ui: nowhere", "ui: Input should be a valid URL"),
        ("quiet: {from: 22:00, to: '07:00'}", "quiet.from: Value error, write a time in quotes"),
        ("quiet: {from: '22:00', to: '07:00', timezone: Moon}", "'Moon' is no time zone"),
        ("warnings_every_minutes: -1", "warnings_every_minutes: Input should"),
    ],
)
def test_what_is_wrong_is_named_without_a_secret(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_rules(written(tmp_path, text))
    line = str(caught.value)
    assert line.startswith(f"MASQUES_ALERTS_FILE: {tmp_path}/alerts.yaml: ")
    assert said in line
    assert SECRET not in line
    assert "\n" not in line
