"""Whether a server lets us do what we shall need: looked at, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.line import Line

OLDEST = 140_000
SETS_ITS_OWN_RULES = 160_000
"""From here on a role with CREATEROLE grants only what it has ADMIN OPTION on."""

OURSELVES = "SELECT rolsuper, rolcreaterole, pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = %s"
TLS = "SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl"
ROLE = """
    SELECT rolsuper, pg_catalog.pg_has_role(%s, oid, 'MEMBER WITH ADMIN OPTION'),
           pg_catalog.pg_has_role(oid, %s, 'MEMBER'), pg_catalog.pg_has_role(%s, oid, 'USAGE')
    FROM pg_catalog.pg_roles WHERE rolname = %s
"""


def probe(line: Line) -> Iterator[str]:
    """Yield each step that went well; raise at the first that did not."""
    user, version = line.to.user, line.info.server_version
    protected = line.ask(TLS, what="the connection could not be looked at")
    how = f"protected by {protected[0][0]}" if protected else "without TLS, on this machine"
    yield f"Connected to {line.to.address}, database {line.to.database}, as {user}, {how}."
    ((superuser, creates, standby),) = line.ask(OURSELVES, (user,), what="our own role could not be read")
    if version < OLDEST:
        raise ConnectorError(
            f"the server is PostgreSQL {version // 10_000}; it takes 14", permanent=True, setting="host"
        )
    if standby:
        raise ConnectorError("the server is a standby, which takes no changes", permanent=True, setting="host")
    yield f"It is PostgreSQL {version // 10_000}.{version % 10_000}, and takes changes."
    if not superuser and not creates:
        message = f"{user} may not make roles: ALTER ROLE {user} CREATEROLE"
        raise ConnectorError(message, permanent=True, setting="user")
    yield f"{user} may make roles, and end the sessions of those that it made."
    for name in line.to.roles:
        _may_be_granted(line, name, superuser=superuser)
        yield f"The role {name} is there, and may be granted."
    _may_own(line, superuser=superuser)
    yield f"What an account made goes to {line.to.owner}."


def _may_be_granted(line: Line, name: str, *, superuser: bool) -> None:
    user = line.to.user
    rows = line.ask(ROLE, (user, user, user, name), what=f"the role {name} could not be read")
    if not rows:
        raise ConnectorError(f"there is no role {name}", permanent=True, setting="roles")
    ((strong, admin, contains_us, _),) = rows
    if superuser:
        return
    if contains_us:
        message = f"the role {name} is a member of {user}, so that nobody could be given both"
        raise ConnectorError(message, permanent=True, setting="roles")
    by_option = line.info.server_version >= SETS_ITS_OWN_RULES
    if (by_option and not admin) or (not by_option and strong and not admin):
        message = f"{user} may not grant {name}: GRANT {name} TO {user} WITH ADMIN OPTION"
        raise ConnectorError(message, permanent=True, setting="roles")


def _may_own(line: Line, *, superuser: bool) -> None:
    user, owner = line.to.user, line.to.owner
    rows = line.ask(ROLE, (user, user, user, owner), what=f"the role {owner} could not be read")
    if not rows:
        raise ConnectorError(f"there is no role {owner}", permanent=True, setting="reassign_to")
    if not superuser and not rows[0][3]:
        message = f"{user} may not hand over to {owner}: GRANT {owner} TO {user}"
        raise ConnectorError(message, permanent=True, setting="reassign_to")
