"""Names schemes and networks of payments: known words stay, any other text becomes "other".

Both words come from the client in some forms of a line, so that neither may be free text.
"""

import re
from typing import Final

from masques_pipelines.rails.journal.reasons import OTHER
from masques_pipelines.rails.settlement_ids import NETWORKS, caip2

KNOWN_SCHEMES: Final = frozenset(
    {"exact", "upto", "batch-settlement", "auth-capture", "escrow", "credit", "deferred", "mpp"}
)
# Methods of the Machine Payments Protocol.
_METHODS: Final = frozenset(
    {
        "algorand", "aptos", "card", "cashu", "evm", "hedera", "lightning", "megaeth", "solana",
        "stellar", "stripe", "sui", "tempo", "usdc", "xrpl",
    }
)  # fmt: skip
# The namespaces of CAIP-2 (Chain Agnostic Improvement Proposal 2) that payments use, with the form
# of their references.
_CAIP2: Final = re.compile(
    r"eip155:[0-9]{1,19}|solana:[1-9A-HJ-NP-Za-km-z]{32}|bip122:[0-9a-f]{32}"
    r"|stellar:(pubnet|testnet)|(algorand|aptos|hedera|near|starknet|sui|tron|xrpl):(mainnet|testnet|[0-9]{1,4})"
)
# Names of networks in x402 version 1.
_VERSION_1_WORDS: Final = """
    abstract abstract-testnet avalanche avalanche-fuji base base-sepolia iotex peaq polygon
    polygon-amoy sei sei-testnet skale-base skale-base-sepolia solana solana-devnet story xlayer
    xlayer-testnet
"""
_VERSION_1: Final = frozenset(_VERSION_1_WORDS.split())


def known_scheme(text: str) -> str:
    """Returns a scheme when it is a known word, "other" for anything else, '' for nothing."""
    word = text.lower()
    return word if word in KNOWN_SCHEMES or not word else OTHER


def known_method(text: str) -> str:
    """Returns a method of MPP when it is a known word, "other" for another, '' for nothing."""
    return text if text in _METHODS or not text else OTHER


def known_network(text: str) -> str:
    """Returns the CAIP-2 id or the known name of a network, "other" for anything else."""
    found = caip2(text)
    is_known = text in NETWORKS or text in _VERSION_1 or bool(_CAIP2.fullmatch(found))
    return found if is_known or not text else OTHER
