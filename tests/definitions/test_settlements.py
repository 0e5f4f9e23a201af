"""The asset masques/settlements through Dagster: checks, a dead node, an endpoint that is off."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.settlement import settlements as module
from masques_pipelines.settings import Settings, read_settings
from masques_pipelines.warehouse.client import Warehouse
from tests.support.bolt11 import challenge, line_of
from tests.support.fake_lnd import MACAROON, FakeLnd, payment_hash, running_lnd

NOW_S = int(time.time()) - 7_200
TABLE_CHECKS = (
    module.none_is_overdue,
    module.vouchers_are_claimed,
    module.final_stays_final,
    module.amounts_are_sound,
    module.chain_agrees,
    module.rails_are_read,
)


@pytest.fixture
def lnd() -> Iterator[FakeLnd]:
    with running_lnd(NOW_S) as node:
        yield node


@pytest.fixture
def _environment(
    monkeypatch: pytest.MonkeyPatch,
    engine_settings: Settings,
    warehouse: Warehouse,
    tmp_path: Path,
    lnd: FakeLnd,
) -> None:
    macaroon = tmp_path / "readonly.macaroon"
    macaroon.write_bytes(MACAROON)
    monkeypatch.setenv("MASQUES_CLICKHOUSE_URL", engine_settings.clickhouse_url)
    monkeypatch.setenv("MASQUES_HOME", str(tmp_path))
    monkeypatch.setenv("MASQUES_LND_URL", lnd.url)
    monkeypatch.setenv("MASQUES_LND_MACAROON_FILE", str(macaroon))


def run() -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    result = dg.materialize(
        [module.settlements, *TABLE_CHECKS],
        resources={"warehouse": WarehouseResource()},
        raise_on_error=False,
    )
    return result, {each.check_name: each for each in result.get_asset_check_evaluations()}


@pytest.mark.usefixtures("_environment")
def test_rails_that_are_off_say_so_and_the_others_are_read(lnd: FakeLnd) -> None:
    lnd.add("a", 1000)
    lnd.hold("a", 1000)
    lnd.settle("a")
    result, checks = run()

    assert result.success
    assert all(check.passed for check in checks.values())
    # Off is not passed: it has no result, and the asset says why.
    assert {name for name in checks if name.endswith("_is_read")} == {
        "journal_is_read",
        "lightning_is_read",
    }
    shown = result.asset_materializations_for_node("masques__settlements")[0].metadata
    assert shown["base"].value == "off: MASQUES_BASE_RPC_URL is not set"
    assert shown["lightning"].value == "bip122:000000000019d6689c085ae165831e93: read"
    read = {k: v.value for k, v in checks["lightning_is_read"].metadata.items()}
    assert {name: read[name] for name in ("state", "position", "revisions", "observations")} == {
        "state": "read",
        "position": 1,
        "revisions": 1,
        "observations": 1,
    }
    assert checks["chain_agrees"].description == "no rail has read a balance yet"


@pytest.mark.usefixtures("_environment")
def test_a_dead_node_fails_its_own_check_and_the_run_after_the_others_are_done(
    lnd: FakeLnd, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.rails.node.PAUSE_FIRST_S", 0.001)
    monkeypatch.setenv("MASQUES_SOLANA_RPC_URL", "http://127.0.0.1:9/v2/a-secret-key")
    monkeypatch.setenv("MASQUES_SOLANA_TREASURY", "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu")
    lnd.add("a", 1000)
    lnd.hold("a", 1000)
    lnd.settle("a")
    result, checks = run()

    assert not result.success
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {"solana_is_read"}
    text = checks["solana_is_read"].description
    assert text.startswith(
        "solana (solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp): http://127.0.0.1:9: no answer "
        "(ConnectError) at each of 4 attempts"
    )
    # The data checks ran, and passed; the run's last failure has the reason.
    data = {"none_is_overdue", "vouchers_are_claimed", "final_stays_final"}
    assert data | {"amounts_are_sound", "chain_agrees"} <= set(checks)
    failures = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert [each.step_key for each in failures] == ["rails_are_read"]
    assert failures[0].step_failure_data.error_display_string.count(text) >= 1
    assert "a-secret-key" not in json.dumps([str(event) for event in result.all_events])
    # Lightning comes after Solana and was read all the same.
    assert warehouse.scalar("SELECT count() FROM masques_marts.settlements_current") == 1


@pytest.mark.usefixtures("_environment")
def test_of_several_nodes_the_check_says_which_failed(
    lnd: FakeLnd, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.rails.node.PAUSE_FIRST_S", 0.001)
    for name in ("URL", "MACAROON_FILE"):
        monkeypatch.setenv(f"MASQUES_LND_{name}", "")
    rails = tmp_path / "rails.yaml"
    rails.write_text(
        "rails:\n"
        f"  alice: {{kind: lightning, endpoint: '{lnd.url}', credential_file: readonly.macaroon}}\n"
        "  bob: {kind: lightning, endpoint: 'http://127.0.0.1:9'}\n"
    )
    monkeypatch.setenv("MASQUES_RAILS_FILE", str(rails))
    lnd.add("a", 1000)
    lnd.hold("a", 1000)
    lnd.settle("a")
    result, checks = run()
    assert not result.success
    check = checks["lightning_is_read"]
    assert not check.passed
    mainnet = "bip122:000000000019d6689c085ae165831e93"
    assert check.description.startswith(f"bob ({mainnet}): http://127.0.0.1:9: no answer")
    assert "alice" not in check.description
    said = {name: each.value for name, each in check.metadata.items()}
    assert (said["alice state"], said["bob state"], said["alice network"]) == (
        *("read", "failed", mainnet),
    )
    shown = result.asset_materializations_for_node("masques__settlements")[0].metadata
    assert shown["alice"].value == f"{mainnet}: read"
    assert shown["base"].value == "off: MASQUES_RAILS_FILE has no entry of the kind base"
    assert warehouse.scalar("SELECT count() FROM masques_marts.settlements_current") == 1


@pytest.mark.usefixtures("_environment")
def test_an_announcement_that_nobody_decided_is_overdue(
    lnd: FakeLnd, engine_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASQUES_LND_URL", "")  # nobody looks
    settings = read_settings()
    line_of(settings, challenge(payment_hash("lost"), 1000, NOW_S))
    result, checks = run()
    assert result.success  # it warns
    overdue = checks["none_is_overdue"]
    assert (overdue.passed, overdue.severity) == (False, dg.AssetCheckSeverity.WARN)


class _Echo(BaseHTTPRequestHandler):
    """A provider whose errors echo what it was sent: the URL and the bearer token."""

    def do_POST(self) -> None:
        said = f"http://{self.headers['Host']}{self.path}: {self.headers['Authorization']} expired"
        body = json.dumps({"error": {"code": -32000, "message": said}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base
        del format, args


@pytest.mark.usefixtures("_environment")
def test_no_secret_is_in_any_file_of_the_home_or_of_the_run_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bearer = tmp_path.parent / "bearer-of-the-provider"
    bearer.write_text("sk-live-CANARY-4f7a9c2e1b")
    url = f"http://127.0.0.1:{server.server_port}/v2/CANARYkey77aa55"
    monkeypatch.setenv("MASQUES_BASE_RPC_URL", url)
    monkeypatch.setenv("MASQUES_BASE_BEARER_FILE", str(bearer))
    monkeypatch.setenv("MASQUES_BASE_TREASURY", "0x" + "ab" * 20)
    history = tmp_path / "history"
    history.mkdir()
    try:
        with dg.DagsterInstance.local_temp(str(history)) as instance:
            result = dg.materialize(
                [module.settlements, *TABLE_CHECKS],
                instance=instance,
                resources={"warehouse": WarehouseResource()},
                raise_on_error=False,
            )
            failed = [e for e in result.get_asset_check_evaluations() if not e.passed]
            assert [each.check_name for each in failed] == ["base_is_read"]
            assert "[redacted]" in str(failed[0].description)
    finally:
        server.shutdown()
        server.server_close()
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(files) > 3
    held = {str(each): each.read_bytes().lower() for each in files}
    assert [name for name, data in held.items() if b"canary" in data] == []
    assert any(b"[redacted]" in data for data in held.values())
