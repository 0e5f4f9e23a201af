"""The file of several networks: what it gives, and one line for each thing that is wrong."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from masques_pipelines.cli import masques
from masques_pipelines.errors import SettingError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.descriptor import RailKey
from masques_pipelines.rails.lightning.rail import CAIP2
from masques_pipelines.rails_file import read_rails_file
from masques_pipelines.settings import VARIABLES, Settings, project_root, read_settings

TREASURY = "0x976ea74026e726554db657fa54763abd0c3a0aa9"
WALLET = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"
SOLANA = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
DEVNET = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
POLYGON = f'''
  polygon:
    kind: base
    network: "eip155:137"
    endpoint: https://polygon.internal
    treasury: ["{TREASURY}"]
'''
SEVERAL = f'''
rails:
  base:
    kind: base
    network: eip155:8453
    endpoint_file: base.url
    credential_file: token
    treasury: ["{TREASURY}"]
    finality: safe
    start: 5
{POLYGON}
  arbitrum:
    kind: base
    network: eip155:42161
    endpoint: https://arbitrum.internal
    treasury: ["{TREASURY}"]
    assets: ["0x{"1" * 40}:USDC:6"]
  solana:
    kind: solana
    network: {SOLANA}
    endpoint: https://solana.internal
    treasury: [{WALLET}]
  devnet:
    kind: solana
    network: {DEVNET}
    endpoint: https://devnet.internal
    treasury: [{WALLET}]
    finality: confirmed
  alice:
    kind: lightning
    network: mainnet
    endpoint: https://alice.internal:8080
  bob:
    kind: lightning
    network: bip122:000000000019d6689c085ae165831e93
    endpoint: https://bob.internal:8080
  carol:
    kind: lightning
    network: regtest
    endpoint: https://carol.internal:8080
'''


def written(folder: Path, text: str) -> Path:
    (folder / "base.url").write_text("https://node.test/v2/hidden-key\n")
    (folder / "token").write_text("hidden-token")
    path = folder / "rails.yaml"
    path.write_text(text)
    return path


def settings_of(path: Path) -> Settings:
    return read_settings({"MASQUES_RAILS_FILE": str(path)})


def test_each_entry_is_a_network_or_node_of_its_own(tmp_path: Path) -> None:
    settings = settings_of(written(tmp_path, SEVERAL))
    assert [(each.name, each.key, each.disabled_reason) for each in catalog.places(settings)] == [
        ("journal", RailKey("journal", ""), None),
        ("base", RailKey("base", "eip155:8453"), None),
        ("polygon", RailKey("base", "eip155:137"), None),
        ("arbitrum", RailKey("base", "eip155:42161"), None),
        ("solana", RailKey("solana", SOLANA), None),
        ("devnet", RailKey("solana", DEVNET), None),
        ("alice", RailKey("lightning", CAIP2["mainnet"], "alice"), None),
        ("bob", RailKey("lightning", CAIP2["mainnet"], "bob"), None),
        ("carol", RailKey("lightning", CAIP2["regtest"]), None),
    ]
    base = settings.rails[0]
    assert (base.url, base.finality, base.start) == ("https://node.test/v2/hidden-key", "safe", 5)
    assert base.credential_file == tmp_path / "token"
    assert "hidden" not in repr(settings)
    allowed = catalog.allow_list(settings)
    assert [allowed.rail_of(each) for each in ("eip155:137", DEVNET, "eip155:1")] == [
        *("base", "solana", None)
    ]
    usdc = "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359"
    assert allowed.assets["eip155:137", usdc].symbol == "USDC"
    assert ("eip155:137", "0x" + "1" * 40) not in allowed.assets


def test_the_one_network_form_makes_the_same_entry(tmp_path: Path) -> None:
    path = written(tmp_path, f"rails:{POLYGON.replace('polygon:', 'base:')}")
    (from_file,) = settings_of(path).rails
    one = read_settings(
        {
            "MASQUES_BASE_RPC_URL": "https://polygon.internal",
            "MASQUES_BASE_NETWORK": "eip155:137",
            "MASQUES_BASE_TREASURY": TREASURY,
        }
    ).rails[0]
    assert vars(from_file) | {"file": None} == vars(one)
    assert (one.place("treasury"), one.place("url"), one.place("credential_file")) == (
        *("MASQUES_BASE_TREASURY", "MASQUES_BASE_RPC_URL", "MASQUES_BASE_BEARER_FILE"),
    )
    assert from_file.place("url") == f"{path}: base.endpoint"


def test_a_kind_without_an_entry_is_off(tmp_path: Path) -> None:
    settings = settings_of(written(tmp_path, f"rails:{POLYGON}"))
    reasons = {each.name: each.disabled_reason for each in catalog.places(settings)}
    assert reasons == {
        "journal": None,
        "polygon": None,
        "solana": "MASQUES_RAILS_FILE has no entry of the kind solana",
        "lightning": "MASQUES_RAILS_FILE has no entry of the kind lightning",
    }


@pytest.mark.parametrize(
    "name",
    [
        each
        for each in VARIABLES
        # A certificate has to be one before it is too many.
        if each.startswith(("MASQUES_BASE_", "MASQUES_SOLANA_", "MASQUES_LND_"))
        and not each.endswith("CERT_FILE")
    ],
)
def test_each_variable_of_one_network_is_refused_beside_the_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"rails:{POLYGON}")
    values = {"FINALITY": "finalized", "NETWORK": "mainnet", "BLOCK": "1", "SLOT": "1"}
    values["URL"] = "https://node.test"
    value = values.get(name.rsplit("_", 1)[1], str(path))
    with pytest.raises(SettingError) as raised:
        read_settings({"MASQUES_RAILS_FILE": str(path), name: value})
    assert str(raised.value) == (
        f"{name}: MASQUES_RAILS_FILE is set as well: unset it, and give the rail in {path}"
    )


def changed(old: str, new: str) -> str:
    text = f"rails:{POLYGON}"
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["the file: must be names, each with its value"]),
        ("rails: {}", ["rails: dictionary should have at least 1 item after validation, not 0"]),
        ("a: [", ["line 1: expected the node content, but found '<stream end>': correct it"]),
        (f"rails:{POLYGON}{POLYGON}", ["line 8: polygon is there twice: correct it"]),
        (changed("kind: base", "kind: evm"), ["rails.polygon.kind: must be one of base, solana,"]),
        (
            changed('"eip155:137"', "eip155"),
            ["rails.polygon.network: must be a CAIP-2 id, as in eip"],
        ),
        (
            changed('"eip155:137"', '"eip155:1"'),
            ["rails.polygon.assets: no token of eip155:1 is kno"],
        ),
        (
            changed("    treasury:", "    tresury:"),
            ["rails.polygon.treasury: it is needed", "rails.polygon.tresury: there is no such key"],
        ),
        # Without quotes YAML reads an address as a number.
        (
            changed(f'"{TREASURY}"', TREASURY),
            ["rails.polygon.treasury.0: is no text for YAML (int): p"],
        ),
        (
            changed(f'["{TREASURY}"]', "[]"),
            ["rails.polygon.treasury: it is empty: give the addres"],
        ),
        (
            changed("https://polygon.internal", "https://me:s3cret@polygon.internal"),
            ["rails.polygon.endpoint: seems to hold a key: put the URL in a file, and name it"],
        ),
        (
            changed("https://polygon.internal", "https://p.io/v2/s3cretA9b8c7d6e5f4g3h2"),
            ["rails.polygon.endpoint: seems to hold a key"],
        ),
        (
            changed("endpoint:", "endpoint_file: a\n    endpoint:"),
            ["rails.polygon: needs one of endp"],
        ),
        (
            changed("endpoint: https://polygon.internal", "endpoint_file: nowhere"),
            ["rails.polygon.endpoint_file: "],
        ),
        (
            changed("    kind: base", "    kind: base\n    finality: latest"),
            ["rails.polygon.finality: should be 'finalized' or 'safe'"],
        ),
        (
            changed("    kind: base", "    kind: base\n    start: -1"),
            ["rails.polygon.start: should be gr"],
        ),
        (
            changed("    kind: base", "    kind: base\n    token: s3cret"),
            ["rails.polygon.token: there is"],
        ),
        (changed("  polygon:", "  9: "), ["rails.9: should be a valid string"]),
        (
            changed("  polygon:", "  Polygon X:"),
            ["rails.Polygon X: a name begins with a-z and has"],
        ),
        (
            f"rails:{POLYGON}{POLYGON.replace('polygon:', 'again:')}",
            ["rails.again: eip155:137 is already that of rails.polygon: remove one of the two"],
        ),
        (
            "rails:\n  a: &a {kind: lightning, endpoint: 'https://l.test'}\n  b: *a\n",
            ["rails.b: endpoint is already that of rails.a: remove one of the two"],
        ),
        (
            "rails:\n  a: {kind: journal, endpoint: 'https://l.test'}",
            ["rails.a: has no endpoint: the"],
        ),
        (
            "rails:\n  a: {kind: journal}\n  b: {kind: journal}",
            ["rails.b: journal is already that"],
        ),
    ],
)
def test_what_is_wrong_is_one_line_each_with_its_place(
    tmp_path: Path, text: str, lines: list[str]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingError) as raised:
        read_rails_file(path)
    found = str(raised.value).splitlines()
    assert len(found) == len(lines)
    for line, begin in zip(found, lines, strict=True):
        assert line.startswith(f"MASQUES_RAILS_FILE: {path}: {begin}")
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_command_checks_a_file_without_opening_a_node(tmp_path: Path) -> None:
    path = written(tmp_path, SEVERAL)
    found = CliRunner().invoke(masques, ["rails", "check", str(path)], catch_exceptions=False)
    assert found.exit_code == 0
    assert found.output.splitlines()[:2] == [
        "base       base eip155:8453",
        "polygon    base eip155:137",
    ]
    path.write_text(SEVERAL.replace(f'"{TREASURY}"', '"0x12"'))
    wrong = CliRunner().invoke(masques, ["rails", "check", str(path)])
    assert str(wrong.exception).count("is not an address of 20 bytes") == 3
    assert f"{path}: polygon.treasury: '0x12'" in str(wrong.exception)


def test_the_example_of_the_page_can_be_used(tmp_path: Path) -> None:
    page = (project_root() / "docs" / "rails.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(rails:\n.*?)```", page, re.DOTALL)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    text = example.replace("/run/secrets", str(secrets))
    for file in re.findall(r"_file: (\S+)", text):
        (tmp_path / file).write_text("https://node.test\n")
    path = tmp_path / "rails.yaml"
    path.write_text(text)
    assert [each.name for each in read_rails_file(path)] == ["base", "polygon", "alice", "bob"]
