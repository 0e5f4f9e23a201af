"""The rule of sandbox or production over every setting, MASQUES_SANDBOX, and the home."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from masques_pipelines.errors import SettingError
from masques_pipelines.sandbox.parties import PLACES
from masques_pipelines.sandbox.stand_ins import (
    MARK_NAME,
    NodeOf,
    demo_environment,
    ledger_url,
    mode_text,
    prepare,
    with_stand_ins,
)
from masques_pipelines.settings import Settings, read_settings
from tests.support.paths import ROOT

CAPTURE = {"MASQUES_LEDGER_URL": "capture:///srv/capture"}
TIGERBEETLE = {"MASQUES_LEDGER_URL": "tigerbeetle://10.0.0.1:3000/?cluster_id=7"}
SANDBOX_URL = {"MASQUES_LEDGER_URL": "sandbox:///srv/a%20sandbox"}
CHDB = {"MASQUES_CLICKHOUSE_URL": "chdb:///srv/warehouse"}
SERVER = {"MASQUES_CLICKHOUSE_URL": "http://me:secret@10.0.0.2:8123"}
LANDING = {"MASQUES_LANDING_URL": "/srv/landing"}
STORE = {"MASQUES_LANDING_URL": "s3://bucket/landing"}
BASE = {
    "MASQUES_BASE_RPC_URL": "https://base.test/key",
    "MASQUES_BASE_TREASURY": "0x" + "1" * 40,
}
SOLANA = {
    "MASQUES_SOLANA_RPC_URL": "https://solana.test/key",
    "MASQUES_SOLANA_TREASURY": "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu",
}
LND = {"MASQUES_LND_URL": "https://lnd.test:8080"}
# Set or not, these say nothing about what is real.
NEUTRAL = {
    "MASQUES_LEDGER_CHART": str(ROOT / "masques_pipelines" / "ledger" / "chart.yaml"),
    "MASQUES_REPUTATION_MODEL": str(ROOT / "masques_pipelines" / "reputation" / "model.yaml"),
    "MASQUES_INTAKE_BAD_SHARE_MAX": "0.5",
    "MASQUES_ALERTS_FILE": str(ROOT / "masques_pipelines" / "ledger" / "chart.yaml"),
    "MASQUES_BASE_NETWORK": "eip155:84532",
    "MASQUES_BASE_TREASURY": "0x" + "2" * 40,
}

HOMES = ("fresh", "sandbox", "marked", "warehouse")


def home(tmp_path: Path, kind: str) -> Path:
    """A home that was never used, by a sandbox only, for real, or for real by an older version."""
    folder = tmp_path / kind
    if kind == "sandbox":
        (folder / "sandbox" / "warehouse").mkdir(parents=True, exist_ok=True)
    if kind == "marked":
        prepare(with_stand_ins(read_settings({"MASQUES_HOME": str(folder), **CHDB})))
    if kind == "warehouse":
        (folder / "warehouse").mkdir(parents=True, exist_ok=True)
    return folder


def mode(folder: Path, given: Mapping[str, str], flag: str) -> str:
    """Returns sandbox, production, or the variables that an error names."""
    try:
        settings = with_stand_ins(
            read_settings({"MASQUES_HOME": str(folder), "MASQUES_SANDBOX": flag, **given})
        )
    except SettingError as error:
        text = str(error)
        assert "\n" not in text
        assert "secret" not in text
        assert text.split(":", maxsplit=1)[0] in (
            "MASQUES_SANDBOX",
            "MASQUES_LEDGER_URL",
            "MASQUES_HOME",
        )
        return text
    return "production" if settings.sandbox_folder is None else "sandbox"


# Of one setting alone: MASQUES_SANDBOX unset, 0, 1. An error is given by what its line begins with.
IS_1 = "MASQUES_SANDBOX: it is 1, and {} is set"
IS_0 = "MASQUES_SANDBOX: it is 0, and no real system is configured"
ALONE = [
    ({}, "sandbox", IS_0, "sandbox"),
    (NEUTRAL, "sandbox", IS_0, "sandbox"),
    (CAPTURE, "production", "production", IS_1.format("MASQUES_LEDGER_URL")),
    (TIGERBEETLE, "production", "production", IS_1.format("MASQUES_LEDGER_URL")),
    (
        SANDBOX_URL,
        "sandbox",
        "MASQUES_SANDBOX: it is 0, and MASQUES_LEDGER_URL names a sandbox",
        "sandbox",
    ),
    (CHDB, "production", "production", "sandbox"),
    (SERVER, "production", "production", "sandbox"),
    (LANDING, "production", "production", IS_1.format("MASQUES_LANDING_URL")),
    (STORE, "production", "production", IS_1.format("MASQUES_LANDING_URL")),
    (BASE, "production", "production", IS_1.format("MASQUES_BASE_RPC_URL")),
    (SOLANA, "production", "production", IS_1.format("MASQUES_SOLANA_RPC_URL")),
    (LND, "production", "production", IS_1.format("MASQUES_LND_URL")),
]


@pytest.mark.parametrize("kind", HOMES)
@pytest.mark.parametrize(("given", "unset", "zero", "one"), ALONE)
def test_one_setting_alone(
    tmp_path: Path, given: dict[str, str], unset: str, zero: str, one: str, kind: str
) -> None:
    folder = home(tmp_path, kind)
    if kind in ("marked", "warehouse") and given in ({}, NEUTRAL):
        unset = f"MASQUES_HOME: {folder} was used with real systems ("
    for flag, expected in (("", unset), ("0", zero), ("1", one)):
        assert mode(folder, given, flag).startswith(expected), flag


def rule(given: Mapping[str, str], flag: str, kind: str) -> tuple[str, ...]:
    """The rule as the documentation has it; an error is the variables that it names."""
    ledger = given.get("MASQUES_LEDGER_URL", "")
    is_sandbox_url = ledger.startswith("sandbox://")
    endpoints = [name for name in given if name.endswith("_URL")]
    real = [name for name in endpoints if name != "MASQUES_LEDGER_URL" or not is_sandbox_url]
    if flag == "0":
        if is_sandbox_url:
            return ("MASQUES_SANDBOX", "MASQUES_LEDGER_URL")
        return ("production",) if real else ("MASQUES_SANDBOX", "MASQUES_LEDGER_URL")
    if flag == "1":
        wrong = [name for name in real if name != "MASQUES_CLICKHOUSE_URL"]
        return ("MASQUES_SANDBOX", *wrong) if wrong else ("sandbox",)
    if is_sandbox_url:
        return ("MASQUES_LEDGER_URL", *real) if real else ("sandbox",)
    if real:
        return ("production",)
    return ("sandbox",) if kind in ("fresh", "sandbox") else ("MASQUES_HOME", "MASQUES_SANDBOX")


@pytest.mark.parametrize("kind", HOMES)
@pytest.mark.parametrize("flag", ["", "0", "1"])
def test_every_combination(tmp_path: Path, flag: str, kind: str) -> None:
    folder = home(tmp_path, kind)
    nothing: dict[str, str] = {}
    count = 0
    for parts in itertools.product(
        (nothing, CAPTURE, TIGERBEETLE, SANDBOX_URL),
        (nothing, CHDB, SERVER),
        (nothing, LANDING, STORE),
        (nothing, BASE, {**SOLANA, **LND}),
    ):
        given = {name: value for part in parts for name, value in part.items()}
        found, expected = mode(folder, given, flag), rule(given, flag, kind)
        count += 1
        if found in ("sandbox", "production"):
            assert (found,) == expected, given
        else:
            assert all(name in found for name in expected), (given, found)
            assert expected not in (("sandbox",), ("production",)), (given, found)
    assert count == 4 * 3 * 3 * 3


def resolved(folder: Path, **given: str) -> Settings:
    return with_stand_ins(read_settings({"MASQUES_HOME": str(folder), **given}))


def places(settings: Settings) -> dict[str, object]:
    return {
        "clickhouse": settings.clickhouse_url,
        "ledger": settings.ledger_url,
        "landing": settings.landing_url,
        **{each.name: each.transport or each.url for each in settings.rails},
    }


def sandbox_in(folder: Path | str) -> dict[str, object]:
    plain = Path(str(folder).replace("%20", " "))
    return {
        "clickhouse": f"chdb://{folder}/warehouse",
        "ledger": f"sandbox://{folder}/ledger",
        "landing": f"{plain}/landing",
        **{rail: NodeOf(plain, rail) for rail in PLACES},
    }


def test_the_sandbox_is_whole_and_in_a_folder_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "sandbox"
    assert places(resolved(tmp_path)) == sandbox_in(own)
    # What a network of .env means, the computed nodes do not know.
    assert resolved(tmp_path, **NEUTRAL).rails == resolved(tmp_path).rails
    assert places(resolved(tmp_path, **SANDBOX_URL)) == sandbox_in("/srv/a%20sandbox")
    asked = resolved(tmp_path, MASQUES_SANDBOX="1", **SERVER)
    assert places(asked) == {**sandbox_in(own), "clickhouse": SERVER["MASQUES_CLICKHOUSE_URL"]}


def test_what_is_not_configured_in_production_is_off_or_local_or_an_error(tmp_path: Path) -> None:
    settings = resolved(tmp_path, **STORE)
    assert places(settings) == {
        "clickhouse": f"chdb://{tmp_path}/warehouse",
        "ledger": None,
        "landing": "s3://bucket/landing",
        "base": None,
        "solana": None,
        "lightning": None,
    }
    with pytest.raises(SettingError, match=r"^MASQUES_LEDGER_URL: it is not set.*`masques demo`"):
        ledger_url(settings)
    assert places(resolved(tmp_path, **CAPTURE))["landing"] == f"{tmp_path}/landing"


def test_the_mode_is_one_line(tmp_path: Path) -> None:
    own = tmp_path / "sandbox"
    assert mode_text(resolved(tmp_path)) == (
        f"this is the sandbox, since no real system is configured: demo data in {own}"
    )
    assert mode_text(resolved(tmp_path, MASQUES_SANDBOX="1")) == (
        f"this is the sandbox, as the settings ask: demo data in {own}"
    )
    assert mode_text(resolved(tmp_path, **SANDBOX_URL)) == (
        "this is the sandbox, as the settings ask: demo data in /srv/a sandbox"
    )
    assert mode_text(resolved(tmp_path, **SERVER, **BASE)) == (
        "production: ClickHouse (MASQUES_CLICKHOUSE_URL), base (MASQUES_BASE_RPC_URL)"
    )


def test_a_home_is_marked_once_and_without_secrets(tmp_path: Path) -> None:
    prepare(resolved(tmp_path, **SERVER, **BASE))
    text = (tmp_path / "production").read_text()
    assert json.loads(text)["systems"] == ["ClickHouse", "base"]
    assert "secret" not in text
    prepare(resolved(tmp_path, **CAPTURE))
    assert (tmp_path / "production").read_text() == text
    with pytest.raises(SettingError, match=r"\(ClickHouse, base, first at 20.*MASQUES_SANDBOX=1"):
        resolved(tmp_path)
    (tmp_path / "production").write_text("{")  # damaged, and a mark all the same
    with pytest.raises(SettingError, match="production says so"):
        resolved(tmp_path)


def test_deciding_writes_nothing(tmp_path: Path) -> None:
    for given in ({}, CAPTURE, {"MASQUES_SANDBOX": "1"}):
        resolved(tmp_path / "home", **given)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "url", ["sandbox://srv/x", "sandbox:///", "sandbox:relative", "sandbox:///srv/x?a=1"]
)
def test_a_sandbox_needs_a_folder(tmp_path: Path, url: str) -> None:
    if url == "sandbox:relative":  # no URL of a sandbox: the ledger's own error comes when it opens
        assert resolved(tmp_path, MASQUES_LEDGER_URL=url).sandbox_folder is None
        return
    with pytest.raises(SettingError, match=r"^MASQUES_LEDGER_URL: .*sandbox:///absolute/folder"):
        resolved(tmp_path, MASQUES_LEDGER_URL=url)


def test_a_demo_keeps_what_is_not_of_a_real_system_and_names_what_it_ignores(
    tmp_path: Path,
) -> None:
    environ = {"MASQUES_HOME": str(tmp_path), "MASQUES_SANDBOX": "0", **NEUTRAL, **CAPTURE, **BASE}
    variables, ignored = demo_environment(environ)
    assert ignored == (
        "MASQUES_SANDBOX",
        "MASQUES_LEDGER_URL",
        "MASQUES_LEDGER_CHART",  # of that ledger
        "MASQUES_ALERTS_FILE",
        "MASQUES_BASE_RPC_URL",
        "MASQUES_BASE_NETWORK",
        "MASQUES_BASE_TREASURY",
    )
    settings = with_stand_ins(read_settings({**environ, **variables}))
    assert places(settings) == sandbox_in(tmp_path / "sandbox")
    assert settings.intake_bad_share_max == 0.5
    assert demo_environment({"MASQUES_HOME": "x", "MASQUES_SANDBOX": "1"})[1] == ()
    kept, ignored = demo_environment({"MASQUES_LEDGER_CHART": "/srv/chart.yaml"})
    assert (kept["MASQUES_LEDGER_CHART"], ignored) == ("/srv/chart.yaml", ())


def test_only_the_homes_own_landing_zone_is_made(tmp_path: Path) -> None:
    home_of = {"MASQUES_HOME": str(tmp_path / "home"), **CHDB}
    named = {"MASQUES_LANDING_URL": str(tmp_path / "mount")}
    prepare(with_stand_ins(read_settings({**home_of, **named})))
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == [MARK_NAME]
    assert not (tmp_path / "mount").exists()
    for _again in range(2):  # a home that is marked already, too
        prepare(with_stand_ins(read_settings(home_of)))
        assert (tmp_path / "home" / "landing").is_dir()
