"""The authorization endpoint: who gets a code, who gets an error, and who is sent nowhere (RFC 9700)."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import pytest
from sqlalchemy import func, select

from instances.connectors.drill import DRILL
from instances.models import VirtualInstance
from tempadmin.db import db
from tests.browser import Browser
from tests.provider.product import BACK, PRODUCT, Product, connected, told
from tests.tempadmin.stage import everything
from tests.tickets.asked import change
from tests.tickets.scenes import bring, new_scene
from tests.world import World
from tickets.end import end_access
from tickets.models import AccessRequest, Activity
from tickets.provider.models import OidcLogin
from tickets.states import EndReason, State

STATE = "a state & more"


@pytest.fixture
def product(world: World) -> Product:
    return connected(world)


def logins() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count(OidcLogin.id))) or 0


@pytest.mark.only_sqlite
def test_an_answer_carries_code_state_and_issuer_and_keeps_the_addresss_own_query(product: Product) -> None:
    """The state comes back letter by letter; the issuer goes with every answer, against mix-up (RFC 9207)."""
    answer = product.browser().get(product.wish())
    address = answer.headers["Location"]
    assert address.startswith(BACK + "&")
    came = told(address)
    assert (came["state"], came["iss"], came["from"]) == (STATE, product.issuer, "here")
    assert len(came["code"]) >= 43
    assert set(told(product.browser().get(product.wish(state=None)).headers["Location"])) == {"from", "code", "iss"}


UNCERTAIN: dict[str, dict[str, str | None]] = {
    "no client": {"client_id": None},
    "another client": {"client_id": "somebody-else"},
    "no address": {"redirect_uri": None},
    "an empty address": {"redirect_uri": ""},
    "another address": {"redirect_uri": "https://evil.example/callback"},
    "a longer address": {"redirect_uri": BACK + "x"},
    "another query": {"redirect_uri": BACK.partition("?")[0]},
    "a capital": {"redirect_uri": BACK.replace("product", "Product", 1)},
    "a port": {"redirect_uri": BACK.replace(".example", ".example:443")},
    "a path that leads out": {"redirect_uri": f"{PRODUCT}/other/../callback?from=here"},
    "a name before the host": {"redirect_uri": BACK.replace("https://", "https://product.example@evil.example/")},
    "a script": {"redirect_uri": "javascript:alert(1)"},
    "quotes": {"redirect_uri": '"\\'},
    "a fragment": {"redirect_uri": BACK + "#x"},
    "an endless state": {"state": "s" * 2001},
}


@pytest.mark.only_sqlite
def test_nobody_is_sent_anywhere_when_it_is_not_certain_who_asks(product: Product) -> None:
    """An unknown client, an address that differs by a letter: a page of ours says so, and there is no redirect."""
    before = everything(product.world)
    browser = product.browser()
    for what, changes in UNCERTAIN.items():
        answer = browser.get(product.wish(**changes))
        assert (what, answer.status_code, "Location" in answer.headers) == (what, 400, False)
        assert "evil.example" not in answer.get_data(as_text=True)
    for name in ("client_id", "redirect_uri", "state", "scope", "code_challenge", "anything"):
        answer = browser.get(f"{product.wish(anything='1')}&{name}=again")
        assert (name, answer.status_code) == (name, 400)
    assert everything(product.world) == before


REFUSED: dict[str, tuple[dict[str, str | None], str]] = {
    "another kind of answer": ({"response_type": "token"}, "unsupported_response_type"),
    "two kinds": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "quotes in it": ({"response_type": 'c"\\ode'}, "unsupported_response_type"),
    "none": ({"response_type": None}, "unsupported_response_type"),
    "a fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "a form": ({"response_mode": "form_post"}, "invalid_request"),
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "PKCE that is plain unsaid": ({"code_challenge_method": None}, "invalid_request"),
    "a method alone": ({"code_challenge": None}, "invalid_request"),
    "a short challenge": ({"code_challenge": "c" * 42}, "invalid_request"),
    "an odd challenge": ({"code_challenge": "c" * 42 + "="}, "invalid_request"),
    "no scope": ({"scope": None}, "invalid_scope"),
    "plain OAuth": ({"scope": "profile email"}, "invalid_scope"),
    "a request object": ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    "a request elsewhere": ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
    "none and more": ({"prompt": "none login"}, "invalid_request"),
    "an unknown prompt": ({"prompt": "create"}, "invalid_request"),
    "an endless nonce": ({"nonce": "n" * 501}, "invalid_request"),
    "an age that is none": ({"max_age": "-1"}, "invalid_request"),
    "an age that is too young": ({"max_age": "0"}, "login_required"),
}


@pytest.mark.only_sqlite
def test_a_wish_that_cannot_be_given_goes_back_with_an_error(product: Product) -> None:
    """Each with RFC 6749's word for it, with state and issuer, without a code, and nothing is written."""
    product.world.clock.advance(seconds=1)
    browser = product.browser()
    for what, (changes, error) in REFUSED.items():
        came = product.asked(browser, **changes)
        assert (what, came["error"]) == (what, error)
        assert (came["state"], came["iss"], "code" in came) == (STATE, product.issuer, False)
    assert logins() == 0
    db.session.rollback()
    assert {row.did for row in db.session.scalars(select(Activity))} == {
        "Came from the product to sign in there, and was refused"
    }


@pytest.mark.only_sqlite
def test_what_needs_no_question_is_not_asked(product: Product) -> None:
    """The second factor was given for this very access: no prompt shows anything, and its age is told truly."""
    for changes in ({"prompt": "none"}, {"prompt": "login"}, {"prompt": "consent select_account"}, {"max_age": "600"}):
        assert "code" in product.asked(None, **changes), changes
    product.world.clock.advance(minutes=11)
    assert product.asked(max_age="600", prompt="none")["error"] == "login_required"


def test_p5_only_the_browser_that_is_inside_gets_a_code(product: Product) -> None:
    """Nobody, people of the instance, an access that is entered by the panel: the product hears an error at once."""
    world, scene = product.world, product.scene
    instance = db.session.get_one(VirtualInstance, scene.instance_id)
    world.user(instance, "member@there.example")
    world.administrator(instance, "boss@there.example")
    assert product.asked(world.browser(scene.base))["error"] == "login_required"
    for address in ("member@there.example", "boss@there.example"):
        assert product.asked(world.signed_in(address, scene.base))["error"] == "access_denied"
    other = new_scene(world, State.ACTIVE)
    stranger = Browser(world.app, scene.base)
    stranger.client.set_cookie("tempadmin_session", other.support, domain=scene.host)
    assert product.asked(stranger)["error"] == "login_required"
    change(AccessRequest, scene.request_id, entry="panel")
    assert product.asked()["error"] == "access_denied"
    assert logins() == 0


def test_an_account_elsewhere_is_let_in_there_first(world: World) -> None:
    """Before its directory has let it in, the product is asked to come again; afterwards there is a code."""
    product = connected(world, State.READY)
    change(VirtualInstance, product.scene.instance_id, connector=DRILL)
    change(AccessRequest, product.scene.request_id, connector=DRILL)
    browser = product.scene.browser(world)
    browser.get(product.scene.link, follow=True)
    change(AccessRequest, product.scene.request_id, activated_at=None)
    assert product.asked(browser)["error"] == "temporarily_unavailable"
    change(AccessRequest, product.scene.request_id, activated_at=world.clock.now())
    assert "code" in product.asked(browser)


def test_p3_no_code_after_an_end(product: Product) -> None:
    """Ended, or over by its time limit: the browser is nobody any more."""
    world, scene = product.world, product.scene
    browser = product.browser()
    assert "code" in product.asked(browser)
    end_access(
        request_id=scene.request_id, reason=EndReason.ENDED_BY_CUSTOMER, actor=scene.actor, runtime=world.runtime
    )
    assert product.asked(browser)["error"] == "login_required"
    late = connected(world)
    world.clock.advance(hours=1)
    assert late.asked()["error"] == "login_required"
    assert logins() == 1


@pytest.mark.only_sqlite
def test_a_product_that_asks_in_circles_has_to_wait(product: Product) -> None:
    """Thirty codes within a minute, and then it is asked to come again; a minute later it may."""
    browser = product.browser()
    assert all("code" in product.asked(browser) for _ in range(30))
    assert product.asked(browser)["error"] == "temporarily_unavailable"
    product.world.clock.advance(seconds=60)
    assert "code" in product.asked(browser)


@pytest.mark.only_sqlite
def test_s02_head_hands_out_no_code(product: Product) -> None:
    """Flask answers HEAD where GET is answered; here it is refused, and a prefetch by HEAD writes nothing."""
    before = everything(product.world)
    for path in (product.wish(), f"{product.issuer}/oidc/logout?id_token_hint=x"):
        assert product.browser().get(path, method="HEAD").status_code == 405
    assert everything(product.world) == before


@pytest.mark.only_sqlite
def test_a_product_that_posts_is_asked_to_come_by_get(product: Product) -> None:
    """All parameters go along, whatever they are called, to the same host; the cookie comes with the GET alone."""
    query = urlsplit(product.wish()).query
    odd = {"_external": "1", "_scheme": "javascript", "_anchor": "x", "endpoint": "y"}
    body = f"{query}&{urlencode(odd)}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = product.http.post("/oidc/authorize", content=body, headers=form)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/oidc/authorize?")
    assert product.http.post("/oidc/authorize", content="state=" + "s" * 7000, headers=form).status_code == 413
    again = product.browser().get(product.issuer + answer.headers["Location"])
    assert "code" in told(again.headers["Location"])


@pytest.mark.only_sqlite
def test_a_session_that_speaks_of_another_request_gets_no_code(product: Product) -> None:
    """Rows that somebody spoiled are not believed (S36)."""
    scene = new_scene(product.world)
    bring(product.world, scene, State.PROVISIONING)
    change(AccessRequest, product.scene.request_id, entry="by the window")
    assert product.asked()["error"] == "access_denied"
    assert logins() == 0
