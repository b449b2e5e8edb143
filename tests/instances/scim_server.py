"""A real SCIM server (scim2-server) on loopback, with a tenant for each test, that answers badly when it is told to."""

from __future__ import annotations

import atexit
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from http import HTTPStatus
from itertools import count
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode

from scim2_models import ResourceType
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider
from werkzeug.serving import WSGIRequestHandler, make_server

TOKEN = "7f1c-a-token-that-nobody-guesses"
GROUP = "Administrators"


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    as_token: str | None = None
    """Another token to serve it by than it came with."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    """An answer as it goes out."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/scim+json"})

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def of(self, content: object) -> Said:
        return replace(self, body=json.dumps(content).encode(), headers={"Content-Type": "application/scim+json"})


Serve = Callable[[Asked], Said]
Manner = Callable[[Asked, Serve], Said]
"""How a server answers, given how an honest one would."""


def html(status: int) -> Said:
    """What a proxy, or a framework without a handler of errors, says."""
    return Said(
        status, b"<!DOCTYPE html><title>Oops</title><h1>Something went wrong</h1>", {"Content-Type": "text/html"}
    )


class Product:
    """One tenant: its own users and groups, and a manner of its own."""

    def __init__(self, base: str, name: str) -> None:
        self.url = f"{base}/{name}/v2"
        self.manner: Manner = lambda asked, serve: serve(asked)
        self.asked: list[Asked] = []
        self.storage = InMemoryStorage()
        self._application = BearerTokenApplication(self.storage, _provider(), service=_service(), bearer_tokens=[TOKEN])
        self.group_id = self.put("Group", displayName=GROUP)

    def put(self, kind: str, **attributes: object) -> str:
        """Add a user or a group as somebody else does; return its id."""
        model = _provider().model_for(kind)
        entry = model.model_validate({"schemas": [str(model.__schema__)], **attributes})
        return self.storage.create(_kind(kind), entry).id or ""

    def change(self, name: str, **attributes: object) -> None:
        """Change a user as somebody else does."""
        user = next(one for one in self._all("User") if one.user_name == name)
        changed = type(user).model_validate({**user.model_dump(), **attributes})
        self.storage.update(_kind("User"), changed)

    def drop(self, name: str) -> None:
        """Delete a user as somebody else does."""
        self.storage.delete(_kind("User"), self.users()[name]["id"])

    def change_group(self, **attributes: object) -> None:
        """Change the group of administrators as somebody else does."""
        group = next(one for one in self._all("Group") if one.id == self.group_id)
        self.storage.update(_kind("Group"), type(group).model_validate({**group.model_dump(), **attributes}))

    def users(self) -> dict[str, Any]:
        """What is kept of each user, by its name."""
        return {one.user_name: one.model_dump() for one in self._all("User")}

    def members(self) -> list[str]:
        """The ids of the administrators."""
        group = next(one for one in self._all("Group") if one.id == self.group_id)
        return [member.value for member in group.members or []]

    def _all(self, kind: str) -> list[Any]:
        return [one for one in self.storage.resources if one.meta is not None and one.meta.resource_type == kind]

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        asked = Asked(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].removeprefix("/v2"),
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""))),
            headers={key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")},
            body=environ["wsgi.input"].read(length) if length else b"",
        )
        self.asked.append(asked)
        said = self.manner(asked, lambda asked: self._serve(environ, asked))
        sized = {} if said.status == HTTPStatus.NO_CONTENT else {"Content-Length": str(len(said.body))}
        start(f"{said.status} {HTTPStatus(said.status).phrase}", list({**said.headers, **sized}.items()))
        return [said.body]

    def _serve(self, environ: dict[str, Any], asked: Asked) -> Said:
        started: list[Any] = []

        def start(*given: Any) -> Callable[[bytes], object]:
            started.append(given)
            return lambda _: None

        inner = environ | {
            "REQUEST_METHOD": asked.method,
            "PATH_INFO": f"/v2{asked.path}",
            "QUERY_STRING": urlencode(asked.query),
            "CONTENT_LENGTH": str(len(asked.body)),
            "HTTP_AUTHORIZATION": f"Bearer {asked.as_token}" if asked.as_token else environ.get("HTTP_AUTHORIZATION"),
            "wsgi.input": io.BytesIO(asked.body),
        }
        body = b"".join(self._application(inner, start))
        status, headers, *_ = started[0]
        return Said(int(status.split()[0]), body, {k: v for k, v in headers if k.lower() != "content-length"})


class _Quiet(WSGIRequestHandler):
    """Says nothing, and keeps connections: they are half of what a small request costs."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def log(self, *_args: Any) -> None:
        """Say nothing."""


class _Tenants:
    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.names = count(1)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        _, name, rest = environ["PATH_INFO"].split("/", 2)
        environ |= {"PATH_INFO": f"/{rest}", "SCRIPT_NAME": f"/{name}"}
        return self.products[name](environ, start)


@cache
def _provider() -> Any:
    return load_default_provider()


def _kind(name: str) -> ResourceType:
    return next(one for one in _provider().resource_types if one.name == name)


@cache
def _service() -> ScimService:
    return ScimService(_provider(), secret="s" * 32)


@cache
def _tenants() -> _Tenants:
    """One server for this process of tests."""
    tenants = _Tenants()
    thread = Thread(target=tenants.server.serve_forever, daemon=True)
    thread.start()

    def end() -> None:
        tenants.server.shutdown()
        tenants.server.server_close()
        thread.join(10)

    atexit.register(end)
    return tenants


def new_product() -> Product:
    """Serve a new tenant, in which nobody is but an empty group of administrators."""
    tenants = _tenants()
    name = f"t{next(tenants.names)}"
    tenants.products[name] = Product(tenants.base, name)
    return tenants.products[name]
