"""npm's openid-client, a certified client on Node, as the product of an instance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.connected import Supported, registered
from tests.loopback import Program, Visitor, free_port, running
from tests.tickets.servers import wait_for

PRODUCT = Path(__file__).with_name("openid_client.mjs")


@pytest.mark.products
def test_openid_client_signs_in_reads_userinfo_and_logs_out(
    elsewhere: Path, support: Callable[..., Supported], tmp_path: Path
) -> None:
    """Discovery, code with PKCE, nonce and iss, userinfo until the end, and a logout that ends the access here."""
    ours, port = support(), free_port()
    product = f"http://localhost:{port}"
    told = registered(
        ours.server,
        login_uri=f"{product}/start",
        redirect_uri=f"{product}/return",
        post_logout_redirect_uri=f"{product}/signed-out",
        group="administrators",
    )
    names = {"CLIENT_ID": told["client_id"], "CLIENT_SECRET": told["client_secret"], "ISSUER": told["issuer"]}
    program = Program(
        ["node", str(PRODUCT)], folder=tmp_path, log=tmp_path / "node.log", port=port, alive="/signed-out",
        PORT=str(port), MODULES=str(elsewhere), **names,
    )  # fmt: skip
    ours.server.start()
    with running(program), ours.support() as ada, Visitor() as stranger:
        stranger.get(f"{product}/start?iss={told['issuer']}", status=403)
        print("a stranger:", stranger.page)
        assert "login_required" in stranger.page

        ada.get(ours.ask(ada))
        assert ada.url == f"{product}/"
        session = json.loads(ada.page)
        print("claims:", json.dumps(session["claims"], indent=1))
        print("userinfo:", json.dumps(session["userinfo"], indent=1))
        assert session["claims"]["sub"] == session["userinfo"]["sub"]
        assert session["claims"]["sub"].startswith("liferay_online_")
        assert session["claims"]["act"]["name"] == "Op"
        assert session["claims"]["groups"] == ["administrators"]
        ada.get(f"{product}/sign-out")
        assert ada.url.startswith(f"{product}/signed-out")
        wait_for(ours.server.nothing_is_left, 30)

        with ours.support() as jon:
            jon.get(ours.ask(jon))
            jon.get(f"{product}/userinfo-again")
            assert jon.page == "still let in"
            jon.get(f"{ours.issuer}/support-session")
            jon.post(f"{ours.issuer}/support-session/leave")
            jon.get(f"{product}/userinfo-again", status=401)
            print("userinfo after the end:", jon.page)
        wait_for(ours.server.nothing_is_left, 30)
