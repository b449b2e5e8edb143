"""What a demo world says of itself: as JSON for programs, as a poster for people."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from tempadmin.accounts.totp import code_at
from tempadmin.clock import SystemClock
from tempadmin.settings import Settings


def program() -> str:
    """Return how to type this command: after `make demo` it lies in a folder where no shell looks."""
    started = Path(sys.argv[0])
    found = shutil.which(started.name)
    return "tempadmin" if not started.is_file() or (found and started.samefile(found)) else str(started)


def described(settings: Settings, world: dict[str, Any]) -> dict[str, Any]:
    """Return the world as ``--json`` prints it."""
    port = settings.base_url.rpartition(":")[2]

    def public(people: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{name: value for name, value in one.items() if name != "name"} for one in people]

    return {
        "console": settings.base_url,
        "mail_dir": str(settings.data / "mail"),
        "omniadmins": public(world["omniadmins"]),
        "instances": [
            {
                "web_id": one["web_id"],
                "name": one["name"],
                "url": f"http://{one['web_id']}.localhost:{port}",
                "require_customer": one["require_customer"],
                "require_omniadmin": one["require_omniadmin"],
                "administrators": public(one["administrators"]),
                "members": public(one["members"]),
            }
            for one in world["instances"]
        ],
    }


def poster(settings: Settings, world: dict[str, Any]) -> str:
    """Return what the terminal says: where everything is, who one may be there, and how to go on."""
    now, folder = SystemClock().now(), settings.data
    lines = ["", f"  Console    {world['console']}    (the operator's own instance)", ""]
    for person in world["omniadmins"]:
        code = code_at(person["totp_secret"], now)
        lines += [
            f"    {person['email']:<24} password {person['password']}",
            f"    {'':<24} TOTP secret {person['totp_secret']}, code now {code}",
        ]
    lines += ["", "  Customers' instances, each with an administrator and two members", ""]
    for one in world["instances"]:
        lines.append(f"    {one['name']:<16} {one['url']:<36} {_asks(one)}")
        for person in one["administrators"]:
            lines.append(f"      administrator  {person['email']:<26} password {person['password']}")
        for person in one["members"]:
            lines.append(f"      member         {person['email']:<26} password {person['password']}")
    names = " ".join(f"{one['web_id']}.localhost" for one in world["instances"])
    lines += [
        "",
        f"  Codes       {program()} demo codes --data {folder}    (a code works once; the next comes within 30 s)",
        f"  Mails       {world['mail_dir']}    (subject and link also appear below)",
        "  Browser     Chrome or Firefox, which find *.localhost by themselves. Any other: add to the hosts file",
        f"                127.0.0.1 {names}",
        "              Use a private window for the customer's side, so that both can be signed in at once.",
        "  Stop        Ctrl-C. The same folder goes on where you left it.",
        "",
    ]
    return "\n".join(lines)


def _asks(one: dict[str, Any]) -> str:
    """Say whose yes an instance wants, as the list of instances does."""
    words = {(False, False): "asks nobody", (True, False): "asks its customer", (False, True): "second omniadmin"}
    return words.get((one["require_customer"], one["require_omniadmin"]), "both")
