"""Our marker: what an account carries in a directory, so that it is proven ours, also where our record was lost.

``<public id of the request>.<MAC over instance, request and name>``. Nobody without our secret keys can make one, and
one that was copied to an account of another name, or of another instance, proves nothing.
"""

from __future__ import annotations

from tempadmin.keys import Keys

PURPOSE = "directory.marker"


def make(*, request: str, instance_id: int, name: str, keys: Keys) -> str:
    """Return the marker of an account.

    Parameters
    ----------
    request
        The public id of the access request that it is made for.
    name
        The exact name under which the account is asked for.
    """
    return f"{request}.{keys.mac(PURPOSE, _message(request, instance_id, name))[0]}"


def request_in(marker: str | None, *, instance_id: int, name: str, keys: Keys) -> str | None:
    """Return the public id of the request that a marker proves an account of this name to be made for, or ``None``.

    Every configured key may have made it: keys rotate.
    """
    request, dot, mac = (marker or "").rpartition(".")
    if not dot or not mac.isascii():
        return None
    return request if keys.mac_is_right(PURPOSE, _message(request, instance_id, name), mac) else None


def _message(request: str, instance_id: int, name: str) -> bytes:
    return f"{instance_id}\n{request}\n{name}".encode()
