"""Metrics are off unless enabled; then they are told to a token on the console's host, or on a port of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tempadmin.serving import serve
from tempadmin.settings import SettingsError
from tests.conftest import Build
from tests.metrics.scraping import TOKEN, ask, parsed
from tests.world import CONSOLE, KEYS, World, settings_for

pytestmark = pytest.mark.only_sqlite  # who may see them does not depend on the database
ACME = "http://acme.localhost:8000"
OWN = "http://127.0.0.1:9464"
LOADED = """
import json, sys
from tempadmin.app import create_app
create_app()
print(json.dumps("prometheus_client" in sys.modules))
"""


def test_off_unless_enabled(world: World) -> None:
    """Without a setting the address is like any that does not exist, whoever asks."""
    world.omniadmin()
    nothing, metrics = (world.signed_in().get(path) for path in ("/nothing", "/metrics"))
    assert metrics.status_code == nothing.status_code == 404
    assert ask(world).status_code == 404
    assert ask(world, base="http://localhost:9464").status_code == 404


@pytest.mark.parametrize("wrong", [None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ä" * len(TOKEN)])
def test_s30_only_the_token_opens_them(wrong: str | None, build: Build) -> None:
    """Any other is answered as if there were nothing; the omniadmin's session opens nothing either."""
    world = build(metrics_token=TOKEN)
    world.omniadmin()
    assert ask(world, wrong).status_code == 404
    assert world.signed_in().get(CONSOLE + "/metrics").status_code == 404
    assert ask(world).status_code == 200


def test_s32_the_token_opens_nothing_elsewhere(build: Build) -> None:
    """On a customer's host, on a strange one, by another method, under another path."""
    world = build(metrics_token=TOKEN)
    world.instance("acme")
    for base in (ACME, "http://evil.example", "http://localhost.evil.example", "http://127.0.0.1:8000"):
        assert ask(world, base=base).status_code == 404, base
    for path in ("/metrics/", "//metrics", "/Metrics", "/metrics/x"):
        assert ask(world, path=path).status_code == 404, path
    assert ask(world, method="POST").status_code != 200
    assert ask(world, method="HEAD").get_data() == b""


def test_s07_a_scrape_is_not_kept_and_sets_no_cookie(build: Build) -> None:
    """Nothing between here and Prometheus may store it."""
    response = ask(build(metrics_token=TOKEN))
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Set-Cookie" not in response.headers


def test_a_listener_of_its_own_serves_nothing_else(build: Build) -> None:
    """On that port metrics are all there is, for everybody; on the other ports there are none, token or not."""
    world = build(metrics_listen="127.0.0.1:9464")
    assert "tempadmin_up 1.0" in ask(world, None, base=OWN).get_data(as_text=True)
    for path in ("/", "/login", "/healthz", "/static/favicon.svg", "/metrics/x"):
        assert ask(world, None, base=OWN, path=path).status_code == 404, path
    assert ask(world, None, base=OWN, method="POST").status_code == 404
    assert ask(world).status_code == 404
    assert ask(world, None).status_code == 404


def test_both_ways_can_be_open_at_once(build: Build) -> None:
    """The token on the console's host, and nothing asked on the listener."""
    world = build(metrics_listen="127.0.0.1:9464", metrics_token=TOKEN)
    assert ask(world, None, base=OWN).status_code == 200
    assert ask(world, None).status_code == 404
    assert parsed(ask(world).get_data(as_text=True)).value("tempadmin_up") == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[
            ("metrics_token", token)
            for token in ("", "short", "x" * 15, "sixteen and more blanks", "ä" * 16, "x" * 20 + "\n")
        ],
        *[("metrics_listen", at) for at in ("", "9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536")],
        *[("metrics_listen", at) for at in ("example.com:9464", "300.0.0.1:9464", "[::1]", "::1:9464", "unix:/x:1")],
        *[("metrics_listen", at) for at in ("127.0.0.1:9464/x", "http://127.0.0.1:9464", "127.0.0.1:٩٤٦٤")],
    ],
)
def test_s43_nonsense_is_refused(setting: str, value: str, tmp_path: Path) -> None:
    """A token that is too short to be one, or no header's; an address that nothing can listen on."""
    with pytest.raises(ValueError, match=setting):
        settings_for(tmp_path, **{setting: value})


@pytest.mark.parametrize("at", ["127.0.0.1:9464", "[::1]:9464", "localhost:9464", "0.0.0.0:1", "10.0.0.5:65535"])
def test_an_address_to_listen_on_is_taken(at: str, tmp_path: Path) -> None:
    """IPv4, IPv6, and the name that every machine has."""
    address = settings_for(tmp_path, metrics_listen=at).metrics_address
    assert address is not None
    assert (address[0] in at, str(address[1])) == (True, at.rpartition(":")[2])


def test_s43_pages_and_metrics_need_two_ports(tmp_path: Path) -> None:
    """Which port a request came by is all that tells them apart."""
    with pytest.raises(SettingsError, match="metrics_listen"):
        serve(settings_for(tmp_path, metrics_listen="127.0.0.1:8000"), host="10.0.0.1", port=8000)


@pytest.mark.parametrize("token", ["", TOKEN])
def test_what_is_off_is_not_loaded(token: str, tmp_path: Path) -> None:
    """Prometheus' library is imported only where metrics are on."""
    values = {"DATA": str(tmp_path), "BASE_URL": CONSOLE, "SECRET_KEYS": KEYS[0]} | (
        {"METRICS_TOKEN": token} if token else {}
    )
    environment = {**os.environ, **{f"TEMPADMIN_{name}": value for name, value in values.items()}}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) is bool(token)
