"""Addresses of a TigerBeetle cluster: parses them, resolves names, tries whether anything listens.

The library takes only IP addresses. Names are resolved for each new session: a replica may have
moved.
"""

import ipaddress
import logging
import re
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from masques_pipelines.ledger.source import LedgerUnavailableError

# constants.port and constants.replicas_max of TigerBeetle's source.
DEFAULT_PORT: Final = 3001
ADDRESSES_MAX: Final = 6

RESOLVE_TIMEOUT_S: Final = 5.0
CONNECT_TRIAL_TIMEOUT_S: Final = 0.5
ACCEPTS: Final = "accepts connections"


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """One replica's address as a person writes it; the library takes only IP addresses.

    Attributes:
        host: A name, an IPv4 address, or an IPv6 address without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `host:port`, `host`, `[ipv6]:port`, `[ipv6]`, or a port alone (on this machine).

        Raises:
            ValueError: The text is none of these; the error shows only the part that is wrong.
        """
        if re.fullmatch(r"[0-9]+", text):  # TigerBeetle's own short form
            return cls("127.0.0.1", _port(text))
        match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?", text)
        if match is None:
            raise ValueError("an address is host:port or [ipv6]:port")
        bracketed, plain, port_text = match.groups()
        port = DEFAULT_PORT if port_text is None else _port(port_text)
        if bracketed is not None:
            return cls(_ipv6(bracketed), port)
        if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?", plain):
            raise ValueError(
                f"{plain!r} is not a host name" if "@" not in plain else "it holds an @"
            )
        # A resolver would read 10.1 as 10.0.0.1, and 3000 as 0.0.11.184.
        if re.fullmatch(r"[0-9.]+", plain) and not _is_ip(plain):
            raise ValueError(f"{plain!r} is not an IPv4 address")
        return cls(plain, port)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"port {text[:20]!r} is not a number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} in brackets is not an IPv6 address") from error
    if address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone (%), which the TigerBeetle client cannot use")
    # The library refuses ::ffff:10.0.0.1, and means 10.0.0.1 by it.
    return str(address.ipv4_mapped or address)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolve(addresses: Sequence[Address], *, timeout_s: float = RESOLVE_TIMEOUT_S) -> str:
    """Returns the addresses in the form that the library takes: IPs and ports, commas between.

    A name without an address is left out, as a replica that is down is, while others have one.
    A name with several addresses gives its first one, an IPv4 address before an IPv6 one: the
    library counts the addresses as the cluster's replicas.

    Raises:
        LedgerUnavailableError: No name has an address, or none was found in time.
    """
    deadline_s = time.monotonic() + timeout_s
    found: list[str] = []
    problems: list[LedgerUnavailableError] = []
    for address in addresses:
        try:
            is_ip = _is_ip(address.host)
            found.append(str(address if is_ip else _resolved(address, deadline_s=deadline_s)))
        except LedgerUnavailableError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    for problem in problems:
        logger.warning("%s; going on with %s", problem, ", ".join(found))
    return ",".join(found)


def _resolved(address: Address, *, deadline_s: float) -> Address:
    """Asks the resolver on a thread of its own, since a lookup has no deadline."""
    found: list[str] = []
    problems: list[str] = ["no answer from the resolver"]

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            problems[0] = getattr(error, "strerror", None) or str(error)
            return
        infos.sort(key=lambda info: info[0] != socket.AF_INET)
        found.extend(str(info[4][0]) for info in infos)

    thread = threading.Thread(target=look_up, name="resolve ledger address", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline_s - time.monotonic()))
    if not found:
        raise LedgerUnavailableError(
            f"the ledger's host {address.host} has no address ({problems[0]}): "
            "check the name, or give its IP address"
        )
    return Address(found[0], address.port)


def trials_text(addresses: Sequence[Address]) -> str:
    """Returns what the addresses say about a call that was not answered, for errors.

    Where fewer than most of them take connections, the cluster has no quorum.
    """
    trials = [(address, connection_trial(address)) for address in addresses]
    up = sum(trial == ACCEPTS for _, trial in trials)
    shown = ", ".join(f"{address} {trial}" for address, trial in trials)
    if up == 0:
        reason = "it is unreachable"
        advice = "check the addresses, and that the server runs"
    elif 2 * up <= len(trials) and len(trials) > 1:
        reason = f"only {up} of {len(trials)} replicas answer, which is no quorum"
        advice = "start the others"
    elif len(trials) > 1:
        reason = "most replicas answer, so the cluster id is wrong or they are electing a primary"
        advice = "check the cluster id, and try again"
    else:
        reason = "something listens there, so the cluster id is wrong or the cluster has no quorum"
        advice = "check the address, the cluster id, and the other replicas"
    return f"{reason} ({shown}): {advice}"


def connection_trial(address: Address) -> str:
    """Returns what a connection to it does, for errors: the library does not tell."""
    try:
        with socket.create_connection((address.host, address.port), CONNECT_TRIAL_TIMEOUT_S):
            return ACCEPTS
    except ConnectionRefusedError:
        return "refuses connections"
    except TimeoutError:
        return "does not answer"
    except OSError as error:
        return f"fails with {error.strerror or error}"
