"""Names the addresses of the demo's rails, and where its chains begin.

Nobody has the keys of any of them.
"""

from collections.abc import Mapping
from typing import Final

BASE_TREASURY: Final = "0x976ea74026e726554db657fa54763abd0c3a0aa9"
BASE_BUYER: Final = "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc"
BASE_PARTNER: Final = "0xa0ee7a142d267c1f36714e4a8f75612f20a79720"
SOLANA_TREASURY: Final = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"
SOLANA_BUYER: Final = "GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB"
LND_PUBKEY: Final = "02" + "ab" * 32
LND_PARTNER: Final = "03" + "ef" * 32
# Of Lightning the node is the treasury.
TREASURY: Final[Mapping[str, tuple[str, ...]]] = {
    "base": (BASE_TREASURY,),
    "solana": (SOLANA_TREASURY,),
}
# Where the world's rails are read, in the order of a run, and of which kind each is.
PLACES: Final[Mapping[str, str]] = {
    "base": "base",
    "polygon": "base",
    "solana": "solana",
    "lightning": "lightning",
}
# The second EVM network.
POLYGON: Final = "eip155:137"
# First block, and first slot.
START: Final[Mapping[str, int]] = {"base": 0, "solana": 300_000_000}
