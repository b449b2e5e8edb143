"""A customer's product as a relying party, at one scene's instance; it speaks to the application without a network."""

from __future__ import annotations

from contextvars import Context
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import select

from tempadmin.audit.log import SERVICE
from tempadmin.db import db
from tempadmin.keys import new_secret
from tempadmin.web.security import SESSION_COOKIE
from tests.browser import Browser
from tests.tickets.evidence import with_cookie
from tests.tickets.scenes import Scene, bring, new_scene
from tests.world import World
from tickets import codes
from tickets.models import AccessRequest
from tickets.provider import keys, register
from tickets.provider.models import OidcKey
from tickets.states import State

PRODUCT = "https://product.example"
BACK, AFTER = f"{PRODUCT}/callback?from=here", f"{PRODUCT}/bye"
GROUPS = ("administrators", "Unterstützung")


@dataclass
class Product:
    """One product, and the secrets that it keeps; ``scene`` is who may be inside."""

    world: World
    scene: Scene
    client_id: str
    secret: str
    verifier: str = field(default_factory=lambda: new_secret() + "~.-_")
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = speaking_to(self.world, self.issuer)

    @property
    def issuer(self) -> str:
        return self.scene.base

    @property
    def request(self) -> AccessRequest:
        return self.world.request(self.scene.request_id)

    def wish(self, **changes: str | None) -> str:
        """The address to which the product sends a browser; ``None`` leaves a parameter out."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": BACK,
            "scope": "openid profile email",
            "state": "a state & more",
            "nonce": "n-1",
            "code_challenge": codes.challenge_of(self.verifier),
            "code_challenge_method": "S256",
        } | changes
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{self.issuer}/oidc/authorize?{query}"

    def browser(self) -> Browser:
        """The browser that is inside."""
        return with_cookie(self.world, self.issuer, SESSION_COOKIE, self.scene.support)

    def asked(self, browser: Browser | None = None, **changes: str | None) -> dict[str, str]:
        """Send a browser with a wish; what came back with it to the product."""
        answer = (browser or self.browser()).get(self.wish(**changes))
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return told(answer.headers["Location"])

    def code(self, **changes: str | None) -> str:
        """A fresh code."""
        return self.asked(None, **changes)["code"]

    def exchange(self, code: str, *, basic: bool = True, **changes: str | None) -> httpx.Response:
        """Change a code for tokens."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": self.verifier,
            **({} if basic else {"client_id": self.client_id, "client_secret": self.secret}),
            **changes,
        }
        form = {name: value for name, value in asked.items() if value is not None}
        return self.http.post(
            "/oidc/token",
            data=form,
            auth=httpx.BasicAuth(self.client_id, self.secret) if basic else httpx.USE_CLIENT_DEFAULT,
        )

    def tokens(self) -> dict[str, Any]:
        """Log in as a whole; what the product got."""
        answer = self.exchange(self.code())
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def userinfo(self, token: str) -> httpx.Response:
        return self.http.get("/oidc/userinfo", headers={"Authorization": f"Bearer {token}"})

    def verified(self, token: str) -> jwt.Token:
        """What a token says, once its signature fits the published keys."""
        keys = KeySet.import_key_set(self.http.get("/oidc/jwks").json())
        return jwt.decode(token, keys, algorithms=["RS256"])


def connected(world: World, until: State = State.ACTIVE, **changes: Any) -> Product:
    """An instance whose product is registered, and an access to it that has come so far."""
    scene = new_scene(world)
    if db.session.scalar(select(OidcKey.id).limit(1)) is None:
        keys.add_first(keys.row_of(_key(), world.runtime), runtime=world.runtime)
    product = registered_at(world, scene, **changes)
    bring(world, scene, until)
    return product


def registered_at(world: World, scene: Scene, **changes: Any) -> Product:
    """Register a product at a scene's instance."""
    wanted = {
        "login_uri": f"{PRODUCT}/start",
        "redirect_uris": (f"{PRODUCT}/other", BACK),
        "post_logout_redirect_uris": (AFTER,),
        "groups": GROUPS,
        **changes,
    }
    registered = register.register(
        instance_id=scene.instance_id, product=register.Product(**wanted), actor=SERVICE, runtime=world.runtime
    )
    return Product(world, scene, registered.client_id, registered.client_secret or "")


@cache
def _key() -> RSAKey:
    """Making one takes a tenth of a second, and few tests are about that."""
    return RSAKey.generate_key(keys.BITS, parameters={"use": "sig", "alg": keys.ALGORITHM}, auto_kid=True)


def speaking_to(world: World, base_url: str) -> httpx.Client:
    """A client that speaks to the application itself, each request in a context of its own."""

    def application(environ: Any, start: Any) -> Any:
        return Context().run(world.app.wsgi_app, environ, start)

    return httpx.Client(transport=httpx.WSGITransport(app=application), base_url=base_url)


def told(address: str) -> dict[str, str]:
    """The parameters in an address, each with its one value."""
    found = parse_qs(urlsplit(address).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), address
    return {name: values[0] for name, values in found.items()}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and error of a refusal, which is JSON that nobody keeps (RFC 6749, 5.2)."""
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert not {"id_token", "access_token"} & set(answer.json())
    return answer.status_code, answer.json()["error"]
