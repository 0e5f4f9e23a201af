"""Settings: defaults, blanks, and one line for each bad value."""

import re
import traceback
from decimal import Decimal
from pathlib import Path

import pytest

from masques_pipelines.errors import SettingError
from masques_pipelines.rail_settings import RailSettings
from masques_pipelines.settings import (
    VARIABLES,
    BreakLimit,
    Settings,
    Variables,
    project_root,
    read_settings,
)


def rail_named(settings: Settings, name: str) -> RailSettings:
    return {each.name: each for each in settings.rails}[name]


def test_defaults_lie_in_the_checkout() -> None:
    settings = read_settings({})

    assert settings.home == project_root() / "var"
    assert settings.clickhouse_url == f"chdb://{project_root()}/var/warehouse"
    assert settings.landing_url == f"{project_root()}/var/landing"
    assert (settings.ledger_url, settings.ledger_chart, settings.clickhouse_cluster) == (
        None,
        None,
        None,
    )


def test_a_blank_value_means_unset_as_in_a_copied_env_example() -> None:
    assert read_settings({"MASQUES_LEDGER_URL": " ", "MASQUES_HOME": ""}) == read_settings({})


def test_a_relative_home_is_the_same_folder_from_wherever_the_command_runs() -> None:
    assert read_settings({"MASQUES_HOME": "data"}).home == project_root() / "data"


def test_a_home_with_a_space_makes_a_url_that_opens_it(tmp_path: Path) -> None:
    settings = read_settings({"MASQUES_HOME": str(tmp_path / "my data")})
    assert settings.clickhouse_url.endswith("/my%20data/warehouse")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        # A misspelt name would be ignored and the default used in its place.
        ({"MASQUES_LEDGR_URL": "x"}, "MASQUES_LEDGR_URL: there is no such setting; known are"),
        ({"MASQUES_LEDGER_CHART": "/nowhere/chart.yaml"}, "MASQUES_LEDGER_CHART: /nowhere"),
        # The name goes into a system table query and a keeper path.
        ({"MASQUES_CLICKHOUSE_CLUSTER": "a'b"}, 'MASQUES_CLICKHOUSE_CLUSTER: "a\'b" is not'),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError) as raised:
        read_settings(environ)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_password_is_not_in_the_representation() -> None:
    settings = read_settings({"MASQUES_CLICKHOUSE_URL": "http://me:secret@host:8123"})
    assert "secret" not in repr(settings)


BASE = {"MASQUES_BASE_RPC_URL": "https://a.test/v2/key", "MASQUES_BASE_TREASURY": "0x" + "1" * 40}


def test_a_rail_is_off_until_its_endpoint_is_set_and_knows_the_usdc_of_its_network() -> None:
    settings = read_settings({})
    assert (
        rail_named(settings, "base").url,
        rail_named(settings, "solana").url,
        rail_named(settings, "lightning").url,
    ) == (None, None, None)
    assert rail_named(settings, "base").assets == (
        "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913:USDC:6",
    )
    sepolia = read_settings({**BASE, "MASQUES_BASE_NETWORK": "eip155:84532"}).rails[0]
    assert sepolia.assets == ("0x036cbd53842c5426634e7929541ec2318f3dcf7e:USDC:6",)
    assert (sepolia.finality, sepolia.start) == ("finalized", None)
    assert "key" not in repr(sepolia)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASQUES_BASE_TREASURY": ""}, "MASQUES_BASE_TREASURY: it is needed with"),
        (
            {"MASQUES_BASE_FINALITY": "latest"},
            "MASQUES_BASE_FINALITY: 'latest' is not valid: it should be",
        ),
        (
            {"MASQUES_BASE_START_BLOCK": "-1"},
            "MASQUES_BASE_START_BLOCK: '-1' is not valid: it should be",
        ),
        ({"MASQUES_BASE_NETWORK": "eip155:1"}, "MASQUES_BASE_ASSETS: no token of eip155:1 is"),
        ({"MASQUES_BASE_BEARER_FILE": "/nowhere"}, "MASQUES_BASE_BEARER_FILE: /nowhere is not"),
        (
            {"MASQUES_BASE_TLS_CERT_FILE": str(project_root() / "README.md")},
            f"MASQUES_BASE_TLS_CERT_FILE: {project_root()}/README.md cannot be read as a cert",
        ),
        (
            {"MASQUES_LND_TLS_CERT_FILE": str(project_root() / "README.md")},
            f"MASQUES_LND_TLS_CERT_FILE: {project_root()}/README.md cannot be read as a cert",
        ),
        (
            {"MASQUES_BASE_RPC_URL_FILE": str(project_root() / "README.md")},
            "MASQUES_BASE_RPC_URL_FILE: MASQUES_BASE_RPC_URL is set as well: unset one",
        ),
        ({"MASQUES_LND_NETWORK": "moon"}, "MASQUES_LND_NETWORK: 'moon' is not valid: it should be"),
    ],
)
def test_a_bad_setting_of_a_rail_is_one_line(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_settings({**BASE, **change})
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("rail", ["BASE", "SOLANA"])
def test_a_url_with_a_key_may_stand_in_a_file(tmp_path: Path, rail: str) -> None:
    file = tmp_path / "url"
    file.write_text("https://node.test/v2/hidden-key\n")
    environ = {f"MASQUES_{rail}_RPC_URL_FILE": str(file), f"MASQUES_{rail}_TREASURY": "a"}
    settings = read_settings(environ)
    rails = {"BASE": rail_named(settings, "base"), "SOLANA": rail_named(settings, "solana")}
    assert rails[rail].url == "https://node.test/v2/hidden-key"
    assert f"MASQUES_{rail}_RPC_URL" in settings.given
    assert "hidden-key" not in repr(settings)
    file.write_text(" ")
    with pytest.raises(SettingError, match=f"MASQUES_{rail}_RPC_URL_FILE: {file} is empty"):
        read_settings(environ)


def test_every_variable_is_documented_once_where_people_look() -> None:
    example = (project_root() / ".env.example").read_text()
    assert sorted(set(re.findall(r"^# (MASQUES_[A-Z_]+)=", example, re.MULTILINE))) == sorted(
        VARIABLES
    )
    table = [
        line for line in (project_root() / "README.md").read_text().splitlines() if line[:2] == "| "
    ]
    named = re.findall(r"`(MASQUES_[A-Z_]+)`", "\n".join(table))
    assert sorted(named) == sorted(VARIABLES)
    assert all(field.description for field in Variables.model_fields.values())


def test_each_bad_value_has_a_line_and_none_shows_a_secret() -> None:
    with pytest.raises(SettingError) as raised:
        read_settings(
            {
                "MASQUES_CLICKHOUSE_URL": "http://me:secret@host:8123",
                "MASQUES_SANDBOX": "yes",
                "MASQUES_BASE_START_BLOCK": "x",
                "MASQUES_INTAKE_BAD_SHARE_MAX": "nan",
            }
        )
    lines = str(raised.value).splitlines()
    assert [line.split(":", maxsplit=1)[0] for line in lines] == [
        "MASQUES_SANDBOX",
        "MASQUES_INTAKE_BAD_SHARE_MAX",
        "MASQUES_BASE_START_BLOCK",
    ]
    assert lines[0] == "MASQUES_SANDBOX: 'yes' is not valid: it should be '0' or '1'"
    assert "me:secret" not in "".join(traceback.format_exception(raised.value))


def test_limits_of_breaks_are_exact() -> None:
    given = "served_not_paid:20:50.01:72, stale_hold:0:0:24"
    assert read_settings({"MASQUES_BREAK_LIMITS": given}).break_limits == (
        BreakLimit("served_not_paid", 20, Decimal("50.01"), 72),
        BreakLimit("stale_hold", 0, Decimal(0), 24),
    )
    for bad in ("a", "a:1:2", "a:-1:2:3", "a:1.5:2:3", "a:1:1e3:3", "a:1:2:3:4"):
        with pytest.raises(SettingError, match=r"MASQUES_BREAK_LIMITS: .* is not class:breaks:usd"):
            read_settings({"MASQUES_BREAK_LIMITS": bad})


def test_env_is_read_where_the_environment_is_silent_and_a_blank_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "MASQUES_HOME=data\nMASQUES_LND_NETWORK=signet\nMASQUES_LEDGER_URL=capture:///srv/c\n"
    )
    monkeypatch.setattr("masques_pipelines.settings.project_root", lambda: tmp_path)
    monkeypatch.delenv("MASQUES_HOME")
    monkeypatch.setenv("MASQUES_LND_NETWORK", "regtest")
    settings = read_settings()
    assert (settings.home, rail_named(settings, "lightning").network) == (
        tmp_path / "data",
        "regtest",
    )
    assert settings.ledger_url is None  # the tests' environment has it blank
    assert settings.given == {"MASQUES_HOME", "MASQUES_LND_NETWORK"}
    (tmp_path / ".env").write_text("MASQUES_OOPS=1\n")
    with pytest.raises(SettingError, match="MASQUES_OOPS: there is no such setting"):
        read_settings()


def test_a_relative_landing_zone_is_the_same_folder_from_wherever_the_command_runs() -> None:
    def landing(url: str) -> str:
        return read_settings({"MASQUES_LANDING_URL": url}).landing_url

    assert landing("drop") == str(project_root() / "drop")
    assert landing("s3://bucket/drop") == "s3://bucket/drop"
