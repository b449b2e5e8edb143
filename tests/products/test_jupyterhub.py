"""JupyterHub with oauthenticator as the product of an instance."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.connected import Supported, registered
from tests.loopback import Program, Visitor, free_port, running
from tests.tickets.servers import wait_for

CONFIG = Path(__file__).with_name("jupyterhub_config.py")


@pytest.mark.products
@pytest.mark.timeout(240)
def test_jupyterhub_takes_administrators_from_the_claim_and_lets_nobody_on_after_the_end(
    elsewhere: Path, support: Callable[..., Supported], tmp_path: Path
) -> None:
    """Its administrator by the group, its own logout ends the access, an end here is seen at its next look."""
    ours, port = support(), free_port()
    hub = f"http://localhost:{port}"
    told = registered(
        ours.server,
        login_uri=f"{hub}/hub/oauth_login",
        redirect_uri=f"{hub}/hub/oauth_callback",
        group="administrators",
    )
    environment = {
        "PORT": str(port),
        "HUB_PORT": str(free_port()),
        "PROXY_API_PORT": str(free_port()),
        "PROXY": str(elsewhere / "node_modules/.bin/configurable-http-proxy"),
        "ISSUER": told["issuer"],
        "CLIENT_ID": told["client_id"],
        "CLIENT_SECRET": told["client_secret"],
        "JUPYTERHUB_CRYPT_KEY": "c" * 64,
        "CONFIGPROXY_AUTH_TOKEN": "t" * 32,
        "PATH": f"{elsewhere / 'jupyterhub/bin'}:{os.environ['PATH']}",
    }
    program = Program(
        [str(elsewhere / "jupyterhub/bin/jupyterhub"), "-f", str(CONFIG)],
        folder=tmp_path, log=tmp_path / "hub.log", port=port, alive="/hub/health", **environment,
    )  # fmt: skip
    ours.server.start()
    with running(program), ours.support() as ada, Visitor() as stranger:
        stranger.get(f"{hub}/hub/oauth_login", status=400)
        print("a stranger:", stranger.text[:300])

        ada.get(ours.ask(ada))
        print("in:", *ada.trail[-6:], sep="\n  ")
        name = ada.said(r"liferay_online_\d+_\d+")
        ada.get(f"{hub}/hub/admin")
        assert people(tmp_path) == {name: 1}

        # Ended here: the hub asks us again at its next look, a second later, and is told 401.
        ada.get(f"{ours.issuer}/support-session")
        ada.post(f"{ours.issuer}/support-session/leave")
        wait_for(lambda: is_out(ada, hub), 20)
        print("after the end here:", *ada.trail[-4:], sep="\n  ")
        wait_for(ours.server.nothing_is_left, 30)
        assert people(tmp_path) == {name: 1}  # nobody provisions here: the hub keeps the name of whoever was there

        with ours.support() as jon:
            jon.get(ours.ask(jon))
            jon.get(f"{hub}/hub/logout")
            print("its own logout:", *jon.trail[-3:], sep="\n  ")
            print(jon.text[-300:])
            jon.post(f"{ours.issuer}/support-session/leave")
            wait_for(ours.server.nothing_is_left, 30)
    print(*re.findall(r"^.*(?:40[13] |refresh).*$", program.log.read_text(), re.MULTILINE)[-12:], sep="\n")


def is_out(visitor: Visitor, hub: str) -> bool:
    """Whether the hub's administrators' page sends a visitor away."""
    visitor.get(f"{hub}/hub/admin", status=None)
    return "/hub/admin" not in visitor.url


def people(folder: Path) -> dict[str, int]:
    """The hub's users, and whether each is an administrator."""
    with sqlite3.connect(folder / "jupyterhub.sqlite") as rows:
        return dict(rows.execute("SELECT name, admin FROM users").fetchall())
