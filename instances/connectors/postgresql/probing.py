"""Whether a server lets us do what we shall need: looked at, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import SecretStr

from instances.connectors.base import ConnectorError
from instances.connectors.postgresql.line import Line, written

OLDEST = 140_000
SETS_ITS_OWN_RULES = 160_000
"""From here on a role with CREATEROLE grants only what it has ADMIN OPTION on."""

OURSELVES = """
    SELECT rolsuper, rolcreaterole, pg_catalog.pg_has_role(oid, 'pg_signal_backend', 'USAGE'),
           pg_catalog.pg_is_in_recovery()
    FROM pg_catalog.pg_roles WHERE rolname = %s
"""
MAY_LOG_IN = """
    SELECT count(*) > 0 FROM pg_catalog.pg_roles
    WHERE oid = %s AND rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
"""
TLS = "SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl"
ROLE = """
    SELECT EXISTS (
               SELECT 1 FROM pg_catalog.pg_roles s
               WHERE (s.rolsuper OR s.rolcreaterole) AND pg_catalog.pg_has_role(r.oid, s.oid, 'MEMBER')
           ),
           pg_catalog.pg_has_role(%s, r.oid, 'MEMBER WITH ADMIN OPTION'), pg_catalog.pg_has_role(%s, r.oid, 'USAGE')
    FROM pg_catalog.pg_roles r WHERE r.rolname = %s
"""


def probe(line: Line) -> Iterator[str]:
    """Yield each step that went well; raise at the first that did not."""
    user, version = line.to.user, line.info.server_version
    protected = line.ask(TLS, what="the connection could not be looked at")
    how = f"protected by {protected[0][0]}" if protected else "without TLS, on this machine"
    yield f"Connected to {line.to.address}, database {line.to.database}, as {user}, {how}."
    ((superuser, creates, signals, standby),) = line.ask(OURSELVES, (user,), what="our own role could not be read")
    if version < OLDEST:
        raise ConnectorError(
            f"the server is PostgreSQL {version // 10_000}; it takes 14", permanent=True, setting="host"
        )
    if standby:
        raise ConnectorError("the server is a standby, which takes no changes", permanent=True, setting="host")
    yield f"It is PostgreSQL {version // 10_000}.{version % 10_000}, and takes changes."
    if not superuser and not creates:
        message = f"{user} may not make roles: ALTER ROLE {written(user)} CREATEROLE"
        raise ConnectorError(message, permanent=True, setting="user")
    yield f"{user} may make roles."
    if not superuser and not signals:
        # A member of a role may end its sessions, but of one that was dropped nobody is a member.
        message = f"{user} may not end sessions: GRANT pg_signal_backend TO {written(user)}"
        raise ConnectorError(message, permanent=True, setting="user")
    yield f"{user} may end sessions."
    for name in line.to.roles:
        _may_be_granted(line, name, superuser=superuser)
        yield f"The role {name} is there, and may be granted."
    _may_own(line, superuser=superuser)
    yield f"What an account made goes to {line.to.reassign_to}."


def may_log_in(line: Line, oid: int) -> bool:
    """Tell whether a role may log in now."""
    ((may,),) = line.ask(MAY_LOG_IN, (oid,), what="the role could not be read")
    return bool(may)


def log_in(line: Line, name: str, secret: str) -> Iterator[str]:
    """Log in by a password as a person would; yield that it went well.

    Raises
    ------
    ConnectorError
        When the server lets nobody in by it.
    """
    itself = {"user": name, "password": SecretStr(secret)}
    try:
        Line.open(line.to.model_copy(update=itself), until=line.until).close()
    except ConnectorError as error:
        if error.setting != "database":  # who may not use a database was let in before that was looked at
            raise ConnectorError(str(error), permanent=error.permanent) from None
        yield f"logged in as {name}, which may not use the database {line.to.database}"
    else:
        yield f"logged in as {name}"


def _may_be_granted(line: Line, name: str, *, superuser: bool) -> None:
    makes_roles, may_grant, _ = _role(line, name, setting="roles")
    if makes_roles:
        message = f"whoever is granted {name} may make roles, which nobody would remove with the account"
        raise ConnectorError(message, permanent=True, setting="roles")
    if not may_grant and not superuser and line.info.server_version >= SETS_ITS_OWN_RULES:
        user = line.to.user
        message = f"{user} may not grant {name}: GRANT {written(name)} TO {written(user)} WITH ADMIN OPTION"
        raise ConnectorError(message, permanent=True, setting="roles")


def _may_own(line: Line, *, superuser: bool) -> None:
    user, owner = line.to.user, line.to.reassign_to
    makes_roles, _, may_hand_over = _role(line, owner, setting="reassign_to")
    if makes_roles:
        message = f"{owner} may make roles: so could a function that an account leaves behind"
        raise ConnectorError(message, permanent=True, setting="reassign_to")
    if not may_hand_over and not superuser:
        message = f"{user} may not hand over to {owner}: GRANT {written(owner)} TO {written(user)}"
        raise ConnectorError(message, permanent=True, setting="reassign_to")


def _role(line: Line, name: str, *, setting: str) -> tuple[bool, bool, bool]:
    """Return whether a role may make roles, and whether we may grant it, and act as it."""
    user = line.to.user
    rows = line.ask(ROLE, (user, user, name), what=f"the role {name} could not be read")
    if not rows:
        raise ConnectorError(f"there is no role {name}", permanent=True, setting=setting)
    ((makes_roles, may_grant, may_act),) = rows
    return makes_roles, may_grant, may_act
