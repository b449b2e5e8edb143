"""HTTP to customers' products, which may be down, slow or hostile (issue 6): none of it may cost us more than a moment.

A client is made for one call of the contract, and speaks to one origin alone: what a product answers (a redirect, a
``meta.location``) never sends it, or the token that it carries, anywhere else. No proxy and nothing of the environment
is used, no cookie kept, an answer is read whole before anybody looks at it, and what went wrong is a ``ConnectorError``
in words.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.wire import Allowance, Backend, Elsewhere, TooMuch

MOST_BYTES = 1024 * 1024
MOST_OF_HEADERS = 128 * 1024
DROPPED = frozenset({b"set-cookie", b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that are not handed on: no cookie is kept, and the body is whole and plain."""
USER_AGENT = "tempadmin"


def guarded_client(
    *,
    url: str,
    timeout: timedelta,
    ca_pem: str | None = None,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | tuple[str, str] | None = None,
    secrets: Iterable[str] = (),
) -> httpx.Client:
    """Return a client for one call of the contract, whose time begins now; close it afterwards.

    Parameters
    ----------
    url
        Where the product is, and the client's base URL; requests to another origin are refused.
    timeout
        For everything together, from the look-up of the name to the last byte of the last answer.
    ca_pem
        The certificates to trust instead of the system's, as PEM text.
    secrets
        What no error may repeat; what is sent as ``Authorization`` is among them anyway.

    Raises
    ------
    ConnectorError
        Permanent: when the address or the certificates cannot be used.
    """
    try:
        usable_url(url)
    except ValueError as error:
        raise ConnectorError(f"{wording.address(url)}: {error}", permanent=True, setting="url") from None
    transport = _Guarded(url=httpx.URL(url), timeout=timeout, ca_pem=ca_pem, secrets=secrets)
    try:
        return httpx.Client(
            base_url=url,
            transport=transport,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})},
            auth=auth,
            timeout=timeout.total_seconds(),
            follow_redirects=False,
            trust_env=False,
        )
    except UnicodeEncodeError:
        what = "a header to be sent, maybe the token, has characters that no header can have"
        raise ConnectorError(f"{wording.address(url)}: {what}", permanent=True) from None


def usable_url(url: str) -> str:
    """Return an address that a client can be made for; for the validators of settings.

    Raises
    ------
    ValueError
        When it is none: what is wrong, in words, without repeating it.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise ValueError("this is no web address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("a web address begins with https://")
    if parts.username or parts.password:
        raise ValueError("a web address carries no name or password here")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("only https:// is taken, or http:// on this very machine")
    return url


def usable_ca(pem: str) -> str:
    """Return certificates as PEM text that can be trusted; raises ``ValueError``."""
    trusting(pem)
    return pem


class _Guarded(httpx.BaseTransport):
    def __init__(self, *, url: httpx.URL, timeout: timedelta, ca_pem: str | None, secrets: Iterable[str]) -> None:
        self._origin, self._timeout, self._secrets = _origin(url), timeout, tuple(secrets)
        self._allowance = Allowance(lasts=timeout, most=MOST_BYTES + MOST_OF_HEADERS)
        try:
            context = trusting(ca_pem) if url.scheme == "https" else None
        except ValueError as error:
            raise ConnectorError(str(error), permanent=True, setting="ca_file") from None
        backend = Backend(self._allowance, only_here=context is None)
        self._pool = httpcore.ConnectionPool(ssl_context=context, max_connections=1, network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its answer whole; any error is a ``ConnectorError``."""
        tried = f"{request.method} {wording.address(str(request.url))}"
        secrets = [*self._secrets, *wording.secrets_in(request.headers.get("Authorization", ""))]
        if _origin(request.url) != self._origin:
            raise ConnectorError(f"{tried}: not the address that was set; nothing was sent", permanent=True)
        with self._in_words(tried, secrets):
            self._allowance.begin_answer()
            answer = self._pool.handle_request(_to_send(request))
            try:
                content = _plain(_limited(answer.iter_stream()), answer.headers)
            finally:
                answer.close()
        response = httpx.Response(
            answer.status,
            headers=[(name, value) for name, value in answer.headers if name.lower() not in DROPPED],
            content=content,
            request=request,
        )
        response.encoding = "utf-8"  # whatever it claims: Python knows encodings that are no text
        if 300 <= answer.status < 400:
            raise wording.redirected(tried, response, secrets)
        return response

    def close(self) -> None:
        self._pool.close()

    @contextlib.contextmanager
    def _in_words(self, tried: str, secrets: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except TooMuch:
            raise ConnectorError(f"{tried}: the answer is longer than {MOST_BYTES // 1024} KiB") from None
        except Elsewhere:
            what = "http:// is taken on this very machine alone, and this name leads elsewhere"
            raise ConnectorError(f"{tried}: {what}; nothing was sent", permanent=True, setting="url") from None
        except zlib.error:
            raise ConnectorError(f"{tried}: the answer is compressed in a way that nobody asked for") from None
        except TimeoutError:
            raise ConnectorError(f"{tried}: no whole answer within {self._timeout.total_seconds():g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise wording.broken(tried, error, secrets) from None


def _to_send(request: httpx.Request) -> httpcore.Request:
    where = request.url
    url = httpcore.URL(scheme=where.raw_scheme, host=where.raw_host, port=where.port, target=where.raw_path)
    return httpcore.Request(request.method, url, headers=request.headers.raw, content=request.read())


def _limited(chunks: Iterable[bytes]) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MOST_BYTES:
            raise TooMuch
    return bytes(content)


def _plain(content: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Unpack what came packed although nobody asked for that, and no more of it than may be."""
    packed = [value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"]
    if not content or not packed or packed == [b"identity"]:
        return content
    if packed not in ([b"gzip"], [b"x-gzip"], [b"deflate"]):
        raise zlib.error
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    plain = unpacking.decompress(content, MOST_BYTES + 1)
    if len(plain) > MOST_BYTES:
        raise TooMuch
    return plain


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@cache
def _trusting_everybody_known() -> ssl.SSLContext:
    """Trust what httpx brings along, and what this machine trusts besides: an operator's own authority is there."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def trusting(ca_pem: str | None) -> ssl.SSLContext:
    """Return the TLS of a client that trusts these certificates, or the well-known ones; raises ``ValueError``."""
    if ca_pem is None:
        return _trusting_everybody_known()
    try:
        return ssl.create_default_context(cadata=ca_pem or "nothing")  # an empty text would trust the system's
    except (ssl.SSLError, ValueError, TypeError):  # a TypeError: not in ASCII
        raise ValueError("these are no certificates in PEM format") from None


def json_of(response: httpx.Response, *, secrets: Iterable[str] = ()) -> Any:
    """Return what an answer says in JSON; raises ``ConnectorError`` when it is something else."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise wording.refused(response, "answered no JSON", secrets=secrets) from None
