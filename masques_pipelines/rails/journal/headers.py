"""Parses the headers of payments: which protocol a request speaks, and the parts of L402.

The protocol follows from the scheme word of a header (RFC 9110, 11.1), never from the header's
name: `Authorization` carries API keys far more often than payments. Gates send LSAT beside L402, as
two fields of one header, as a list or joined by a comma, with and without quotes; and challenges of
other protocols (MPP's `Payment`) in the same header.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.rails.journal import l402

_CHARACTERS_MAX: Final = 64 * 1024
_PARTS_MAX: Final = 16
_L402_SCHEMES: Final = ("l402", "lsat")
# The Machine Payments Protocol's scheme word.
MPP_SCHEME: Final = "payment"
_SCHEME: Final = re.compile(r"(?<![\w+/=.-])(L402|LSAT)[ \t]+", re.IGNORECASE)
_PARAMETER: Final = re.compile(
    r"(?:(?<![\w+/=.-])(?P<scheme>[A-Za-z][\w-]{0,40})[ \t]+)?(?<![\w+/=.-])"
    r'(?P<name>[A-Za-z][\w-]{0,40})[ \t]*=[ \t]*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s",]+))'
)


@dataclass(frozen=True)
class L402:
    """What headers say about one L402 payment; only its hash, and what its invoice asks for.

    Attributes:
        payment_hash: Hex, lower case.
        invoice: The invoice of the challenge, None without one.
        is_paid: Whether the preimage was shown.
    """

    payment_hash: str
    invoice: l402.Invoice | None
    is_paid: bool


def texts(headers: Mapping[str, Any], name: str) -> list[str]:
    """Returns the values of a header, which may have come as a text or as a list of texts."""
    value = headers.get(name)
    found = value if isinstance(value, list) else [value]
    return [each[:_CHARACTERS_MAX] for each in found[:_PARTS_MAX] if isinstance(each, str)]


def single(headers: Mapping[str, Any], name: str) -> str | None:
    """Returns the first value of a header, None without one."""
    return next((each for each in texts(headers, name) if each), None)


def has_l402_credentials(headers: Mapping[str, Any]) -> bool:
    """Returns whether a request shows an L402 token."""
    return any(_SCHEME.match(each.lstrip()) for each in texts(headers, "authorization"))


def has_l402_challenge(headers: Mapping[str, Any]) -> bool:
    """Returns whether an answer asks for an L402 payment."""
    return any(_SCHEME.search(each) for each in texts(headers, "www-authenticate"))


def is_paid_by_mpp(headers: Mapping[str, Any]) -> bool:
    """Returns whether a request or answer has a credential or receipt of MPP."""
    return bool(single(headers, "payment-receipt") or credential(headers, MPP_SCHEME))


def read_l402(
    headers: Mapping[str, Any], *, invoice: str = "", macaroon: str = "", payment_hash: str = ""
) -> L402:
    """Returns the one payment that headers and fields of a line are about.

    Raises:
        ValueError: They are about none or several, or a part cannot be parsed; the text names the
            part and never shows it.
    """
    hashes: set[str] = set()
    invoices: list[l402.Invoice] = []
    for parameters in challenges(headers, _L402_SCHEMES):
        if text := parameters.get("invoice", ""):
            invoices.append(l402.read_invoice(text))
        if text := parameters.get("macaroon") or parameters.get("token", ""):
            hashes |= _hashes_in(text)
    if invoice and not invoices:
        invoices.append(l402.read_invoice(invoice))
    hashes |= {each.payment_hash for each in invoices}
    is_paid = False
    for macaroons, preimage in _credentials(headers):
        shown = l402.hash_of_preimage(preimage)
        if shown not in _hashes_in(macaroons):
            raise ValueError("the token and the preimage are of different payments")
        hashes.add(shown)
        is_paid = True
    if macaroon:
        hashes |= _hashes_in(macaroon)
    if payment_hash:
        hashes.add(l402.payment_hash_of(payment_hash))
    if len(hashes) != 1:
        raise ValueError("the token, the invoice and the preimage are of different payments")
    return L402(hashes.pop(), invoices[0] if invoices else None, is_paid=is_paid)


def challenges(headers: Mapping[str, Any], schemes: Sequence[str]) -> list[dict[str, str]]:
    """Returns the parameters of each challenge of some schemes in `WWW-Authenticate`."""
    found: list[dict[str, str]] = []
    for text in texts(headers, "www-authenticate"):
        is_wanted = False
        for match in _PARAMETER.finditer(text):
            if match["scheme"]:
                is_wanted = match["scheme"].lower() in schemes
                if is_wanted:
                    found.append({})
            if is_wanted:
                value = match["quoted"] if match["quoted"] is not None else match["bare"]
                found[-1].setdefault(match["name"].lower(), value)
    return found[:_PARTS_MAX]


def credential(headers: Mapping[str, Any], scheme: str) -> str:
    """Returns what follows a scheme's word in `Authorization`, '' for nothing."""
    for text in texts(headers, "authorization"):
        word, _, rest = text.strip().partition(" ")
        if word.lower() == scheme:
            return rest.strip()
    return ""


def _credentials(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns (macaroons, preimage) of each L402 token of `Authorization`."""
    found = []
    for text in texts(headers, "authorization"):
        starts = list(_SCHEME.finditer(text))[:_PARTS_MAX]
        for place, match in enumerate(starts):
            end = starts[place + 1].start() if place + 1 < len(starts) else len(text)
            macaroons, _, preimage = text[match.end() : end].strip(" \t,").rpartition(":")
            found.append((macaroons, preimage))
    return found


def _hashes_in(macaroons: str) -> set[str]:
    """Returns the payment hashes of one or more macaroons; a third party's may have none.

    Raises:
        ValueError: None of them has one.
    """
    found, problem = set(), ValueError("there is no macaroon")
    for each in macaroons.split(",")[:_PARTS_MAX]:
        try:
            found.add(l402.hash_in_macaroon(each))
        except ValueError as error:
            problem = error
    if not found:
        raise problem
    return found
