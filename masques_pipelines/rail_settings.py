"""Says where a rail is read and which payments on it are ours.

One network of each kind comes from variables, several from the file of MASQUES_RAILS_FILE
(rails_file.py). What reads a rail gets the same either way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from masques_pipelines.errors import SettingError

if TYPE_CHECKING:
    import httpx2

RAILS_FILE: Final = "MASQUES_RAILS_FILE"
# The variable that switches a rail on, by its kind; one that is always on has none. Not in the
# rails' descriptors, so that settings are understood without loading a rail.
RAIL_ENDPOINTS: Final[Mapping[str, str]] = {
    "base": "MASQUES_BASE_RPC_URL",
    "solana": "MASQUES_SOLANA_RPC_URL",
    "lightning": "MASQUES_LND_URL",
}
# What begins the name of each variable of the one-network form.
ONE_NETWORK: Final = ("MASQUES_BASE_", "MASQUES_SOLANA_", "MASQUES_LND_")
# Names of fields whose variable is not the kind's prefix and the field in capitals.
_VARIABLES: Final[Mapping[tuple[str, str], str]] = {
    ("base", "credential_file"): "MASQUES_BASE_BEARER_FILE",
    ("base", "gateway"): "MASQUES_BASE_GATEWAY_URL",
    ("base", "start"): "MASQUES_BASE_START_BLOCK",
    ("solana", "credential_file"): "MASQUES_SOLANA_BEARER_FILE",
    ("solana", "assets"): "MASQUES_SOLANA_MINTS",
    ("solana", "start"): "MASQUES_SOLANA_START_SLOT",
    ("lightning", "credential_file"): "MASQUES_LND_MACAROON_FILE",
    ("lightning", "network"): "MASQUES_LND_NETWORK",
    ("lightning", "tls_cert_file"): "MASQUES_LND_TLS_CERT_FILE",
}

# CAIP-2 ids of the chains under a Lightning node: the first 16 bytes of their genesis hashes.
LIGHTNING_NETWORKS: Final[Mapping[str, str]] = {
    "mainnet": "bip122:000000000019d6689c085ae165831e93",
    "testnet": "bip122:000000000933ea01ad0ee984209779ba",
    "signet": "bip122:00000008819873e925422c1ff0f99f7c",
    "regtest": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
}
# USDC as its issuer lists it; settlements of other tokens are not read.
USDC: Final[Mapping[str, str]] = {
    "eip155:137": "0x3c499c542cef5e3811e1192ce70d8cc03d5c3359:USDC:6",
    "eip155:8453": "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913:USDC:6",
    "eip155:42161": "0xaf88d065e77c8cc2239327c5edb3a432268e5831:USDC:6",
    "eip155:84532": "0x036cbd53842c5426634e7929541ec2318f3dcf7e:USDC:6",
    "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp": (
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v:USDC:6"
    ),
    "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1": (
        "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU:USDC:6"
    ),
}


@dataclass(frozen=True)
class RailSettings:
    """Where a rail is read and which payments on it are ours.

    Attributes:
        kind: The rail: base, solana, lightning or journal.
        name: What people call it; the kind where there is one network of it.
        url: The node, or None: the rail is off. Providers' URLs hold keys, so it is left out of
            the representation.
        network: CAIP-2 id of the chain; for Lightning mainnet, testnet, signet or regtest.
        node: What tells several nodes of one network apart, '' for the only one.
        treasury: Our addresses; of Lightning the node is the treasury.
        assets: `address:symbol:decimals` of each token that counts as money.
        finality: The rail's own name of the finality that decides.
        start: First block or slot to read, or None: from now on.
        gateway: URL of Circle Gateway's API, or None: its payments are not followed.
        credential_file: File of the bearer token, or of the macaroon.
        tls_cert_file: The node's certificate, when no authority signed it.
        transport: Opens what answers instead of the network; None: the network. Only the sandbox
            has one, for its computed nodes.
        file: The file that it is an entry of; None for variables.
    """

    kind: str
    name: str
    url: str | None = field(repr=False)
    network: str
    node: str = ""
    treasury: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    finality: str = ""
    start: int | None = None
    gateway: str | None = None
    credential_file: Path | None = None
    tls_cert_file: Path | None = None
    transport: "Callable[[], httpx2.BaseTransport] | None" = None
    file: Path | None = None

    def place(self, of: str) -> str:
        """Returns where a person finds one of its settings: a variable, or a line of the file.

        Args:
            of: The attribute.
        """
        if self.file is not None:
            return f"{self.file}: {self.name}.{'endpoint' if of == 'url' else of}"
        return variable(self.kind, of)


def variable(kind: str, of: str) -> str:
    """Returns the variable of the one-network form for an attribute of a rail's settings."""
    if of == "url":
        return RAIL_ENDPOINTS[kind]
    return _VARIABLES.get((kind, of), f"MASQUES_{kind.upper()}_{of.upper()}")


def secret_text(file: Path, variable: str) -> str:
    """Returns the text of a file that holds a secret, without blanks around it.

    Raises:
        SettingError: It cannot be read, is empty, or is not text.
    """
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingError(f"{variable}: {file} cannot be read ({reason})") from None
    if not text:
        raise SettingError(f"{variable}: {file} is empty")
    return text
