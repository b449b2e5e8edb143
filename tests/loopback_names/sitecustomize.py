"""Names below localhost lead to the loopback (RFC 6761), as in browsers, where the system does not know that."""

from __future__ import annotations

import socket
from typing import Any

_ask_the_system = socket.getaddrinfo


def getaddrinfo(host: Any, *details: Any, **options: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    here = isinstance(name, str) and name.rstrip(".").endswith(".localhost")
    return _ask_the_system("127.0.0.1" if here else host, *details, **options)


socket.getaddrinfo = getaddrinfo
