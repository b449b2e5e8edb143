"""Who lives in the demo world: the operator's three omniadmins, five customers, fifteen people."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from instances.models import VirtualInstance
from instances.registry import add_instance, add_row
from tempadmin.accounts import factors
from tempadmin.accounts.models import ADMINISTRATOR, MEMBER, OMNIADMIN
from tempadmin.accounts.passwords import hash_password
from tempadmin.accounts.people import add_user
from tempadmin.accounts.totp import new_seed
from tempadmin.audit.log import SERVICE, record
from tempadmin.db import db, transaction
from tempadmin.runtime import Runtime

CONSOLE_ID, CONSOLE_NAME = "operator", "Operator"

OMNIADMINS = (
    ("ada@operator.example", "Ada Brandt"),
    ("jon@operator.example", "Jon Reyes"),
    ("mira@operator.example", "Mira Okafor"),
)

POLICIES = {
    "birch-health": {"require_customer": True},
    "cobalt": {"require_omniadmin": True},
    "elm-bank": {"require_customer": True, "require_omniadmin": True},
}
"""Whose yes each wants; the other two ask nobody. A new world's only: in one that goes on, people changed theirs."""

Person = tuple[str, str]

CUSTOMERS: tuple[tuple[str, str, str, Person, tuple[Person, Person]], ...] = (
    (
        "acme",
        "Acme Logistics",
        "acme.example",
        ("rosa", "Rosa Vidal"),
        (("liam", "Liam Byrne"), ("kaya", "Kaya Demir")),
    ),
    (
        "birch-health",
        "Birch Health",
        "birch.example",
        ("maria", "Maria Lund"),
        (("per", "Per Holm"), ("sofie", "Sofie Dahl")),
    ),
    (
        "cobalt",
        "Cobalt Energy",
        "cobalt.example",
        ("noor", "Noor Haddad"),
        (("emil", "Emil Wirth"), ("tess", "Tess Moreau")),
    ),
    (
        "delta",
        "Delta Schools",
        "delta.example",
        ("iris", "Iris Novak"),
        (("oscar", "Oscar Lima"), ("yuki", "Yuki Tanaka")),
    ),
    ("elm-bank", "Elm Bank", "elm.example", ("hugo", "Hugo Stein"), (("ana", "Ana Costa"), ("theo", "Theo Marsh"))),
)


def new_world() -> dict[str, Any]:
    """Return the people of a new world with fresh credentials, as its folder keeps them."""
    people = [
        {"email": email, "name": name, "password": _password(), "totp_secret": new_seed()} for email, name in OMNIADMINS
    ]
    instances = [
        {
            "web_id": web_id,
            "name": name,
            "administrators": [
                {"email": f"{administrator[0]}@{domain}", "name": administrator[1], "password": _password()}
            ],
            "members": [{"email": f"{user}@{domain}", "name": full, "password": _password()} for user, full in members],
        }
        for web_id, name, domain, administrator, members in CUSTOMERS
    ]
    return {"keys": [secrets.token_urlsafe(48)], "omniadmins": people, "instances": instances}


def fill(world: dict[str, Any], *, runtime: Runtime) -> None:
    """Add instances and people with the credentials that the folder keeps, all in one transaction or nothing."""
    hashes = {
        person["email"]: hash_password(person["password"])
        for group in [
            world["omniadmins"],
            *(one[role] for one in world["instances"] for role in ("administrators", "members")),
        ]
        for person in group
    }
    with transaction():
        now = runtime.now()
        home = add_row(web_id=CONSOLE_ID, name=CONSOLE_NAME, host=None, actor=SERVICE, now=now)
        for person in world["omniadmins"]:
            user_id = _add(home.id, person, OMNIADMIN, hashes, now=now, runtime=runtime)
            factors.enrol(user_id=user_id, seed=person["totp_secret"], step=0, now=now, runtime=runtime)
        for one in world["instances"]:
            host = f"{one['web_id']}.localhost"
            instance_id = add_instance(
                web_id=one["web_id"], name=one["name"], host=host, actor=SERVICE, now=now, runtime=runtime
            )
            _set_policy(instance_id, POLICIES.get(one["web_id"], {}), now=now)
            for person in one["administrators"]:
                _add(instance_id, person, ADMINISTRATOR, hashes, now=now, runtime=runtime)
            for person in one["members"]:
                _add(instance_id, person, MEMBER, hashes, now=now, runtime=runtime)
    db.session.expire_all()


def _set_policy(instance_id: int, policy: dict[str, bool], *, now: datetime) -> None:
    if policy:
        for name, value in policy.items():
            setattr(db.session.get_one(VirtualInstance, instance_id), name, value)
        record("policy.changed", instance_id=instance_id, actor=SERVICE, at=now, demo=True, **policy)


def _add(
    instance_id: int, person: dict[str, str], role: str, hashes: dict[str, str], *, now: datetime, runtime: Runtime
) -> int:
    user = add_user(
        instance_id=instance_id,
        email=person["email"],
        full_name=person["name"],
        role=role,
        now=now,
        runtime=runtime,
    )
    user.password_hash = hashes[user.email]
    record("account.opened", instance_id=instance_id, actor=SERVICE, at=now, user_id=user.id, demo=True)
    return user.id


def _password() -> str:
    words = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jasper", "kelp", "larch")
    return "-".join([*(secrets.choice(words) for _ in range(3)), secrets.token_hex(3)])
