"""A look at a SCIM server before it is used: what answers, what it can, what the settings name. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.scim.administrators import Administrators
from instances.connectors.scim.listing import Listing
from instances.connectors.scim.protocol import Answer, Scim
from instances.connectors.scim.settings import ScimSettings
from tempadmin.runtime import current_runtime


def steps(settings: ScimSettings, scim: Scim, listing: Listing, administrators: Administrators) -> Iterator[str]:
    """Yield each step that went well; raises ``ConnectorError`` at the first that did not."""
    about = scim.about()
    yield f"{wording.address(settings.url)} answers" + ("" if about else ", and tells nothing of itself")
    if about and _unsupported(about, "patch"):
        why = "the server says that it knows no PATCH, without which no account can be activated"
        raise ConnectorError(why, permanent=True, setting="url")
    nobody = f"{current_runtime().settings.user_prefix}_0_0"
    users = listing.named(nobody)
    if users:
        yield f"users can be read; searches of the server are no use, so each look reads all {len(users)}"
    else:
        yield "users can be searched"
    yield administrators.known()
    yield f"our marker goes into {settings.marker_attribute}"


def _unsupported(about: Answer, feature: str) -> bool:
    said = about.get(feature)
    return isinstance(said, dict) and said.get("supported") is False
