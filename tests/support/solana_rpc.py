"""Solana on loopback: the real runtime (LiteSVM, in the solders wheel) behind JSON-RPC.

It answers the calls of the x402 SDK and of the rail; transactions run in the real SPL Token
program. Slots, commitment and history are its own, as Solana's RPC documents them. There are no
validators, votes or forks: a test forgets a transaction to fork it away.
"""

import base64
import contextlib
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo

from masques_pipelines.settings import Settings, read_settings

USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
TREASURY = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"
NETWORK = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
GENESIS = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ATA_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
Result = TypeVar("Result")

FIRST_SLOT = 300_000_000
FINAL_AFTER = 32


def token_account(owner: str, mint: str = USDC, program: Pubkey = TOKEN_PROGRAM) -> str:
    seeds = [
        bytes(Pubkey.from_string(owner)),
        bytes(program),
        bytes(Pubkey.from_string(mint)),
    ]
    return str(Pubkey.find_program_address(seeds, ATA_PROGRAM)[0])


def _apart(
    run: Callable[[VersionedTransaction], Result], transaction: VersionedTransaction
) -> Result:
    """Runs programs in a thread of their own, which ends with them.

    The compiler of programs leaves numbers in the registers of the old floating-point unit (x87).
    The next one of 80 bits is NaN then, in this thread and in all that it starts. The engine turns
    a Decimal(76, 18) into a float that way: scores became NaN in processes in which it started a
    thread after a program had run (solders 0.27.1).
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run, transaction).result()


@dataclass
class Solana:
    """One chain; `before_send` runs between a simulation and the landing of its transaction."""

    start_s: int = field(default_factory=lambda: int(time.time()) - 3600)
    url: str = ""
    head: int = FIRST_SLOT
    first_available: int = 0
    before_send: Callable[[], object] = lambda: None
    requests: list[str] = field(default_factory=list)
    landed: list[dict[str, Any]] = field(default_factory=list)
    forgotten: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.svm = LiteSVM()
        self.lock = threading.RLock()
        self.mints: dict[str, int] = {}
        self.programs: dict[str, Pubkey] = {}
        self.place_mint(USDC, 6)

    @property
    def final(self) -> int:
        return self.head - FINAL_AFTER

    def advance(self, slots: int = FINAL_AFTER + 1) -> None:
        self.head += slots

    def place_mint(self, mint: str, decimals: int, program: Pubkey = TOKEN_PROGRAM) -> None:
        self.programs[mint] = program
        data = struct.pack("<I32sQBBI32s", 0, bytes(32), 10**15, decimals, 1, 0, bytes(32))
        self._set(mint, data, 1_000_000_000, program)
        self.mints[mint] = decimals

    def fund(self, owner: str, units: int, mint: str = USDC) -> str:
        """Gives a wallet its token account with a balance."""
        data = struct.pack(
            "<32s32sQI32sBIQQI32s", bytes(Pubkey.from_string(mint)),
            bytes(Pubkey.from_string(owner)), units, 0, bytes(32), 1, 0, 0, 0, 0, bytes(32),
        )  # fmt: skip
        address = token_account(owner, mint, self.programs[mint])
        self._set(address, data, 2_039_280, self.programs[mint])
        return address

    def give_away(self, owner: str, receiver: str) -> None:
        """Makes another wallet the owner of a wallet's token account, as SetAuthority does."""
        account = self.svm.get_account(Pubkey.from_string(token_account(owner)))
        assert account is not None
        data = bytearray(account.data)
        data[32:64] = bytes(Pubkey.from_string(receiver))
        self._set(token_account(owner), bytes(data), account.lamports)

    def airdrop(self, owner: str) -> None:
        self.svm.airdrop(Pubkey.from_string(owner), 10_000_000_000)

    def _set(
        self, address: str, data: bytes, lamports: int, program: Pubkey = TOKEN_PROGRAM
    ) -> None:
        self.svm.set_account(Pubkey.from_string(address), Account(lamports, data, program, False))

    def transfer(
        self, sender: Keypair, receiver: str, *units: int, mint: str = USDC, memo: str = ""
    ) -> str:
        """Lands a transaction of one or more TransferChecked; returns its signature."""
        accounts = [
            AccountMeta(Pubkey.from_string(token_account(str(sender.pubkey()), mint)), False, True),
            AccountMeta(Pubkey.from_string(mint), False, False),
            AccountMeta(Pubkey.from_string(token_account(receiver, mint)), False, True),
            AccountMeta(sender.pubkey(), True, False),
        ]
        made = [
            Instruction(
                TOKEN_PROGRAM, bytes([12]) + struct.pack("<QB", each, self.mints[mint]), accounts
            )
            for each in units
        ]
        text = memo or str(len(self.landed))  # or two equal transfers are one transaction
        made.append(Instruction(MEMO_PROGRAM, text.encode(), []))
        blockhash = self.svm.latest_blockhash()
        message = MessageV0.try_compile(sender.pubkey(), made, [], blockhash)
        return self.land(VersionedTransaction(message, [sender]))

    def transfer_together(self, receiver: str, paid: dict[Keypair, int], mint: str = USDC) -> str:
        """Lands one transaction in which each of several wallets pays; returns its signature."""
        made = [
            Instruction(
                TOKEN_PROGRAM,
                bytes([12]) + struct.pack("<QB", units, self.mints[mint]),
                [
                    AccountMeta(
                        Pubkey.from_string(token_account(str(payer.pubkey()), mint)), False, True
                    ),
                    AccountMeta(Pubkey.from_string(mint), False, False),
                    AccountMeta(Pubkey.from_string(token_account(receiver, mint)), False, True),
                    AccountMeta(payer.pubkey(), True, False),
                ],
            )
            for payer, units in paid.items()
        ]
        made.append(Instruction(MEMO_PROGRAM, str(len(self.landed)).encode(), []))
        first = next(iter(paid))
        message = MessageV0.try_compile(first.pubkey(), made, [], self.svm.latest_blockhash())
        return self.land(VersionedTransaction(message, list(paid)))

    def land(self, transaction: VersionedTransaction) -> str:
        message = transaction.message
        keys = [str(each) for each in message.account_keys]
        before, lamports = self._tokens(keys), self._lamports(keys)
        result = _apart(self.svm.send_transaction, transaction)
        failed = isinstance(result, FailedTransactionMetadata)
        meta = result.meta() if isinstance(result, FailedTransactionMetadata) else result
        self.head += 1
        signature = str(transaction.signatures[0])
        after = self._lamports(keys)
        self.landed.append(
            {
                "slot": self.head,
                "blockTime": self.start_s + (self.head - FIRST_SLOT),
                "version": 0,
                "signature": signature,
                "meta": {
                    "err": _error(result.err()) if failed else None,  # type: ignore[union-attr]
                    "fee": lamports[0] - after[0],
                    "innerInstructions": [],
                    "logMessages": meta.logs(),
                    "preBalances": lamports,
                    "postBalances": after,
                    "preTokenBalances": before,
                    "postTokenBalances": self._tokens(keys),
                    "rewards": [],
                },
                "transaction": {
                    "signatures": [str(each) for each in transaction.signatures],
                    "message": {
                        "accountKeys": [
                            {
                                "pubkey": key,
                                "signer": message.is_signer(place),
                                "writable": False,  # nobody asks
                                "source": "transaction",
                            }
                            for place, key in enumerate(keys)
                        ],
                        "instructions": [_parsed(each, keys) for each in message.instructions],
                        "recentBlockhash": str(message.recent_blockhash),
                    },
                },
            }
        )
        return signature

    def forget(self, signature: str) -> None:
        """Forks a transaction away."""
        self.forgotten += [each for each in self.landed if each["signature"] == signature]
        self.landed = [each for each in self.landed if each["signature"] != signature]

    def _lamports(self, keys: list[str]) -> list[int]:
        return [self.svm.get_balance(Pubkey.from_string(key)) or 0 for key in keys]

    def _tokens(self, keys: list[str]) -> list[dict[str, Any]]:
        found = []
        for place, key in enumerate(keys):
            account = self.svm.get_account(Pubkey.from_string(key))
            is_token = account is not None and account.owner in (TOKEN_PROGRAM, TOKEN_2022)
            if account is None or not is_token or len(account.data) != 165:
                continue
            mint, owner, units = struct.unpack("<32s32sQ", bytes(account.data)[:72])
            known = str(Pubkey(mint))
            found.append(
                {
                    "accountIndex": place,
                    "mint": known,
                    "owner": str(Pubkey(owner)),
                    "programId": str(account.owner),
                    "uiTokenAmount": {"amount": str(units), "decimals": self.mints[known]},
                }
            )
        return found

    def answer(self, method: str, params: list[Any]) -> Any:
        with self.lock:
            name = "".join(f"_{c.lower()}" if c.isupper() else c for c in method)
            return getattr(self, f"_{name}")(*params)

    def _context(self, value: Any) -> dict[str, Any]:
        return {"context": {"apiVersion": "3.0.0", "slot": self.head}, "value": value}

    def _slot_of(self, options: dict[str, Any] | None) -> int:
        return self.final if (options or {}).get("commitment") == "finalized" else self.head

    def _get_genesis_hash(self) -> str:
        return GENESIS

    def _get_slot(self, options: dict[str, Any] | None = None) -> int:
        return self._slot_of(options)

    def _get_block_time(self, slot: int) -> int:
        return self.start_s + (slot - FIRST_SLOT)

    def _get_latest_blockhash(self, options: Any = None) -> Any:
        value = {
            "blockhash": str(self.svm.latest_blockhash()),
            "lastValidBlockHeight": self.head + 150,
        }
        return self._context(value)

    def _get_account_info(self, address: str, options: Any = None) -> Any:
        account = self.svm.get_account(Pubkey.from_string(address))
        if account is None:
            return self._context(None)
        return self._context(
            {
                "lamports": account.lamports,
                "data": [base64.b64encode(bytes(account.data)).decode(), "base64"],
                "owner": str(account.owner),
                "executable": account.executable,
                "rentEpoch": 0,
                "space": len(account.data),
            }
        )

    def _get_multiple_accounts(self, addresses: list[str], options: dict[str, Any]) -> Any:
        """As of the slot of the commitment: what landed later is taken back."""
        slot = self._slot_of(options)
        value: list[dict[str, Any] | None] = []
        for address in addresses:
            account = self.svm.get_account(Pubkey.from_string(address))
            if account is None:
                value.append(None)
                continue
            data = bytearray(account.data)
            if len(data) >= 72 and address not in self.mints:
                units = int.from_bytes(data[64:72], "little") - self._units_after(address, slot)
                data[64:72] = units.to_bytes(8, "little")
            value.append(
                {
                    "lamports": account.lamports,
                    "data": [base64.b64encode(bytes(data)).decode(), "base64"],
                    "owner": str(account.owner),
                    "executable": account.executable,
                    "rentEpoch": 0,
                    "space": len(account.data),
                }
            )
        return {"context": {"apiVersion": "3.0.0", "slot": slot}, "value": value}

    def _units_after(self, address: str, slot: int) -> int:
        total = 0
        for each in [*self.forgotten, *self.landed]:
            if each["slot"] > slot or each in self.forgotten:
                keys = [k["pubkey"] for k in each["transaction"]["message"]["accountKeys"]]
                for name, sign in (("preTokenBalances", -1), ("postTokenBalances", 1)):
                    for balance in each["meta"][name]:
                        if keys[balance["accountIndex"]] == address:
                            total += sign * int(balance["uiTokenAmount"]["amount"])
        return total

    def _get_first_available_block(self) -> int:
        return self.first_available

    _minimum_ledger_slot = _get_first_available_block

    def _simulate_transaction(self, encoded: str, options: Any = None) -> Any:
        transaction = VersionedTransaction.from_bytes(base64.b64decode(encoded))
        result = _apart(self.svm.simulate_transaction, transaction)
        failed = not isinstance(result, SimulatedTransactionInfo)
        return self._context(
            {
                "err": _error(result.err()) if failed else None,  # type: ignore[union-attr]
                "logs": result.meta().logs(),
                "accounts": None,
                "unitsConsumed": result.meta().compute_units_consumed(),
                "returnData": None,
            }
        )

    def _send_transaction(self, encoded: str, options: Any = None) -> str:
        self.before_send()
        return self.land(VersionedTransaction.from_bytes(base64.b64decode(encoded)))

    def _get_signature_statuses(self, signatures: list[str], options: Any = None) -> Any:
        known = {each["signature"]: each for each in self.landed}
        return self._context([self._status(known.get(each)) for each in signatures])

    def _status(self, landed: dict[str, Any] | None) -> Any:
        if landed is None:
            return None
        error = landed["meta"]["err"]
        is_final = landed["slot"] <= self.final
        return {
            "slot": landed["slot"],
            "confirmations": None if is_final else self.head - landed["slot"],
            "err": error,
            "status": {"Ok": None} if error is None else {"Err": error},
            "confirmationStatus": "finalized" if is_final else "confirmed",
        }

    def _get_signatures_for_address(self, address: str, options: dict[str, Any]) -> Any:
        named = [
            each
            for each in reversed(self.landed)
            if address in [k["pubkey"] for k in each["transaction"]["message"]["accountKeys"]]
            and each["slot"] <= self._slot_of(options)
        ]
        before = options.get("before")
        if before is not None:
            places = [place for place, each in enumerate(named) if each["signature"] == before]
            named = named[places[0] + 1 :] if places else named
        return [
            {
                "signature": each["signature"],
                "slot": each["slot"],
                "err": each["meta"]["err"],
                "memo": None,
                "blockTime": each["blockTime"],
                "confirmationStatus": "finalized" if each["slot"] <= self.final else "confirmed",
            }
            for each in named[: options["limit"]]
        ]

    def _get_transaction(self, signature: str, options: dict[str, Any]) -> Any:
        if "maxSupportedTransactionVersion" not in options:
            raise ValueError("Transaction version (0) is not supported by the requesting client")
        for each in self.landed:
            if each["signature"] == signature:
                return {name: value for name, value in each.items() if name != "signature"}
        return None


def _error(error: Any) -> Any:
    """Returns a transaction's error as JSON-RPC writes it."""
    index, inner = getattr(error, "index", None), getattr(error, "err", None)
    if index is None:
        return str(error).rsplit(".", 1)[-1]
    code = getattr(inner, "code", None)
    return {"InstructionError": [index, {"Custom": code} if code is not None else str(inner)]}


def _parsed(instruction: Any, keys: list[str]) -> dict[str, Any]:
    program, data = keys[instruction.program_id_index], bytes(instruction.data)
    accounts = [keys[place] for place in instruction.accounts]
    if program in (str(TOKEN_PROGRAM), str(TOKEN_2022)) and data[0] == 12:
        units, decimals = struct.unpack("<QB", data[1:10])
        return {
            "program": "spl-token",
            "programId": program,
            "parsed": {
                "type": "transferChecked",
                "info": {
                    "source": accounts[0],
                    "mint": accounts[1],
                    "destination": accounts[2],
                    "authority": accounts[3],
                    "tokenAmount": {"amount": str(units), "decimals": decimals},
                },
            },
        }
    if program == str(MEMO_PROGRAM):
        return {"program": "spl-memo", "programId": program, "parsed": data.decode()}
    return {"programId": program, "accounts": accounts, "data": ""}


def settings_of(chain: "Solana", home: Path, **more: str) -> Settings:
    """Returns settings that read the chain from its beginning."""
    return read_settings(
        {
            "MASQUES_HOME": str(home),
            "MASQUES_SOLANA_RPC_URL": chain.url,
            "MASQUES_SOLANA_TREASURY": TREASURY,
            "MASQUES_SOLANA_START_SLOT": str(FIRST_SLOT),
            **more,
        }
    )


@contextlib.contextmanager
def running_solana() -> Iterator[Solana]:
    """Serves a chain on loopback; it ends with the context."""
    chain = Solana()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            calls = body if isinstance(body, list) else [body]
            answers = [self._one(each) for each in calls]
            content = json.dumps(answers if isinstance(body, list) else answers[0]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _one(self, call: dict[str, Any]) -> dict[str, Any]:
            chain.requests.append(call["method"])
            answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call["id"]}
            try:
                answer["result"] = chain.answer(call["method"], call.get("params") or [])
            except ValueError as error:
                answer["error"] = {"code": -32015, "message": str(error)}
            return answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    chain.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield chain
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
