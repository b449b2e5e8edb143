"""The job of the OpenID provider: signing keys are renewed, and old ones taken back."""

from __future__ import annotations

from flask import Flask

from tempadmin.jobs import Job, register
from tempadmin.runtime import Runtime


def init_app(app: Flask) -> None:
    """Register it."""
    register(
        app,
        Job(
            name="oidc-keys",
            description="Publishes the next key that signs logins at products, and takes old ones back",
            schedule="20 2 * * *",
            run=_see_to_keys,
        ),
    )


def _see_to_keys(runtime: Runtime) -> str:
    from tickets.provider import keys  # only where it is due: what signs need not lie in every scheduler's memory

    return keys.see_to(runtime)
