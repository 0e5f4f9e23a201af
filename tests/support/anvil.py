"""A real EVM chain on loopback: anvil, with a token at USDC's real address.

Where anvil is missing, tests that need it are skipped, with the reason.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.patience import moment_s, until

SUPPORT = Path(__file__).parent
BASE_ID = 8453
USDC = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
TREASURY = "0x976ea74026e726554db657fa54763abd0c3a0aa9"
# anvil's well-known accounts (test mnemonic): they hold ether and are worth nothing.
BUYER_KEY = "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"
FACILITATOR_KEY = "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"
OTHER_KEY = "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"


def anvil_binary() -> Path | None:
    """Returns the binary that `make test` installed, or the one named by ANVIL_BIN."""
    named = os.environ.get("ANVIL_BIN")
    if named:
        return Path(named)
    found = sorted((SUPPORT / "evm" / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*"))
    return found[0] if found else None


def word(value: int | str) -> str:
    """Returns a call argument: 32 bytes, hex without 0x."""
    number = int(value, 16) if isinstance(value, str) else value
    return f"{number:064x}"


@dataclass
class Anvil:
    """One running chain.

    Attributes:
        mines_by_itself: Whether it makes a block of each transaction.
    """

    url: str
    client: httpx2.Client
    mines_by_itself: bool = True

    def rpc(self, method: str, *params: Any) -> Any:
        answer = self.client.post(
            self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        ).json()
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def set_automine(self, *, on: bool) -> None:
        """Sets whether it makes a block of each transaction."""
        self.rpc("evm_setAutomine", on)
        self.mines_by_itself = on

    @property
    def head(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    @property
    def time_s(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def finalize(self) -> None:
        """Makes all that is in the chain final: with 4 slots an epoch, 8 blocks later."""
        self.mine(9)

    def pass_time(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", hex(seconds))
        self.mine()

    def place(self, contract: str, address: str) -> None:
        """Puts a compiled contract of tests/support/evm at an address."""
        compiled = json.loads((SUPPORT / "evm" / f"{contract}.json").read_text())
        self.rpc("anvil_setCode", address, compiled["runtime"])

    def place_token(self, address: str = USDC, symbol: str = "USDC") -> None:
        self.place("TestUSDC", address)
        texts = ("USD Coin", symbol, "2")
        data = "0xa6487c53" + word(96) + word(160) + word(224)
        data += "".join(word(len(t)) + t.encode().hex().ljust(64, "0") for t in texts)
        self.send(self.accounts[0], address, data)

    @property
    def accounts(self) -> list[str]:
        return [str(each) for each in self.rpc("eth_accounts")]

    def send(self, sender: str, to: str, data: str, **more: Any) -> str:
        """Sends a transaction from an account that anvil holds the key of; returns its hash.

        Where the chain mines by itself, it does so behind its answer: under load a poll right after
        that saw nothing of the transaction.
        """
        call = {"from": sender, "to": to, "data": data, "gas": hex(500_000), **more}
        tx_hash = str(self.rpc("eth_sendTransaction", call))
        if self.mines_by_itself:
            until(lambda: self.receipt(tx_hash), f"transaction {tx_hash} to be mined")
        return tx_hash

    def mint(self, receiver: str, units: int, token: str = USDC) -> str:
        return self.send(self.accounts[0], token, "0x40c10f19" + word(receiver) + word(units))

    def transfer(self, sender: str, receiver: str, units: int, token: str = USDC) -> str:
        return self.send(sender, token, "0xa9059cbb" + word(receiver) + word(units))

    def transfer_from(
        self, spender: str, sender: str, receiver: str, units: int, token: str = USDC
    ) -> str:
        data = "0x23b872dd" + word(sender) + word(receiver) + word(units)
        return self.send(spender, token, data)

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        # A busy machine mines a moment after it has answered.
        for _ in range(200):
            found: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", tx_hash)
            if found is not None:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{tx_hash}: it is in no block")

    def block_hash(self, number: int) -> str:
        return str(self.rpc("eth_getBlockByNumber", hex(number), False)["hash"])


def place_of(chain: Anvil, address: str, token: str = USDC) -> str:
    """Returns where the token keeps the balance of an address."""
    from eth_utils.crypto import keccak  # noqa: PLC0415 - only some tests need it

    held = chain.rpc("eth_call", {"to": token, "data": "0x70a08231" + word(address)}, "latest")
    for slot in range(20):
        place = "0x" + keccak(bytes.fromhex(word(slot) + word(address))).hex()
        if chain.rpc("eth_getStorageAt", token, place, "latest") == held:
            return place
    raise AssertionError("the token keeps no balances")


@contextlib.contextmanager
def running_anvil(*more: str, chain_id: int = BASE_ID, token: str = USDC) -> Iterator[Anvil]:
    """Starts a chain with the token in place; ends it with the context.

    Args:
        chain_id: That of Base, or another.
        token: Where the token is.
        more: Further arguments of anvil.
    """
    binary = anvil_binary()
    if binary is None:
        pytest.skip("ANVIL IS MISSING: run `make .venv/.ready-anvil` (it needs npm)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--chain-id", str(chain_id), "--slots-in-an-epoch", "4"]
    arguments += ["--network", "optimism"] if chain_id == BASE_ID else []
    process = subprocess.Popen(
        [str(binary), "--host", "127.0.0.1", "--port", str(port), *arguments, *more, "--silent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(timeout=moment_s()) as client:
            chain = Anvil(f"http://127.0.0.1:{port}", client)
            _wait_for(chain, process)
            chain.place_token(token)
            yield chain
    finally:
        process.terminate()
        process.wait(moment_s())


def _wait_for(chain: Anvil, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + moment_s()
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            chain.rpc("eth_chainId")
            return
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise AssertionError(f"anvil did not start (exit code {process.poll()})")
        time.sleep(0.02)
