"""An order-free digest of accounts: of what the ledger sent, to compare the table with later.

sql/ledger/proofs/account_pages.sql takes the same of the rows of masques.accounts, so the two must
never differ. It finds what was edited, lost or added, and is no protection against somebody who can
write the digests too.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from masques_pipelines.ledger.records import Records

Words = npt.NDArray[np.uint64]

_WIDE: Final = (
    "id",
    "user_data_128",
    "debits_pending",
    "debits_posted",
    "credits_pending",
    "credits_posted",
)
# Odd numbers of 64 bits without a pattern: the fraction of the golden ratio, and its powers.
MULTIPLIER: Final = 0x9E3779B97F4A7C15


def content_digest(accounts: Records) -> int:
    """Returns the digest of accounts (ACCOUNT_DTYPE), as UInt64."""
    small = (
        accounts["ledger"].astype(np.uint64)
        | accounts["code"].astype(np.uint64) << np.uint64(32)
        | accounts["flags"].astype(np.uint64) << np.uint64(48)
    )
    words: list[Words] = [small, accounts["timestamp"].astype(np.uint64)]
    for name in _WIDE:
        words += [accounts[name]["low"], accounts[name]["high"]]
    mixed = np.zeros(len(accounts), np.uint64)
    for word in words:
        mixed = _mixed(mixed ^ word)
    return int(mixed.sum(dtype=np.uint64))


def _mixed(words: Words) -> Words:
    """Spreads each bit over all: x ^= x >> 32, times a number, x ^= x >> 29."""
    words = (words ^ words >> np.uint64(32)) * np.uint64(MULTIPLIER)
    return words ^ words >> np.uint64(29)
