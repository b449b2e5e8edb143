"""A look at an LDAP directory before anything is made there: whatever would go wrong is named by its setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import ldap.dn
from ldap.schema import AttributeType, ObjectClass, SubSchema

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.ldap_directory.session import ITSELF, Session
from instances.connectors.ldap_directory.settings import PASSWORD, LdapSettings, Lock

ANY = "(objectClass=*)"
PASSWORD_MODIFY = "1.3.6.1.4.1.4203.1.11.1"  # noqa: S105 - the name of the operation (RFC 3062)
ROOT = ["namingContexts", "supportedExtension", "subschemaSubentry"]


def top_of(session: Session, settings: LdapSettings) -> str:
    """Return the top of the tree that the accounts are in, or their own base where the server does not tell."""
    base = _plain(settings.base_dn)
    tops = [top for top in _root(session).get("namingcontexts", []) if f",{base}".endswith(f",{_plain(top)}")]
    return max(tops, key=len, default=settings.base_dn)


def probe(session: Session, settings: LdapSettings) -> Iterator[str]:
    """Yield what is right, changing nothing; raise at the first that is not."""
    yield f"connected to {wording.address(settings.url)} by {session.protection}, with the right certificate"
    yield f"signed in as {settings.bind_dn}"
    root = _root(session)
    if PASSWORD_MODIFY not in root.get("supportedextension", [PASSWORD_MODIFY]):
        what = "this server knows no password modify operation (RFC 3062)"
        raise ConnectorError(what, permanent=True, setting="url")
    if _entry(session, settings.base_dn, ["1.1"], setting="base_dn") is not None:
        yield f"accounts go below {settings.base_dn}"
    schema = _schema(session, root)
    if schema is not None:
        _check_entry(schema, settings)
        yield "an account is complete, and has a place for our marker and a password"
    if settings.group_dn:
        group = _entry(session, settings.group_dn, ["objectClass"], setting="group_dn") or {}
        if schema is not None:
            _check_group(schema, group.get("objectclass", []), settings)
        yield f"administrators are in {settings.group_dn}"


def _root(session: Session) -> Mapping[str, list[str]]:
    return _entry(session, "", ROOT, setting="url") or {}


def _entry(session: Session, dn: str, attributes: list[str], *, setting: str) -> Mapping[str, list[str]] | None:
    """Return an entry's attributes; raises when it is not there, or may not be seen."""
    for _, values in session.search(dn, ANY, attributes, scope=ITSELF, setting=setting):
        return values
    if dn:
        raise ConnectorError(f"{dn} is not there, or may not be seen", permanent=True, setting=setting)
    return None


def _schema(session: Session, root: Mapping[str, list[str]]) -> SubSchema | None:
    """Return what the server allows in entries, or nothing where it does not tell."""
    wanted = ["objectClasses", "attributeTypes"]
    for place in root.get("subschemasubentry", [])[:1]:
        for _, values in session.search(place, "(objectClass=subschema)", wanted, scope=ITSELF, setting="url"):
            try:
                return SubSchema({name: values.get(name.lower(), []) for name in wanted})
            except (AssertionError, IndexError, KeyError, TypeError, ValueError):
                return None
    return None


def _check_entry(schema: SubSchema, settings: LdapSettings) -> None:
    given = {attribute.lower(): values for attribute, values in settings.template().items()}
    classes = given["objectclass"]
    _known(schema, classes)
    must, may = _allowed(schema, classes)
    if missing := sorted(name for name, others in must.items() if not others & set(given)):
        raise ConnectorError(f"its object classes want a line “{missing[0]}: …”", permanent=True, setting="entry")
    wanted = dict.fromkeys(given, "entry") | {PASSWORD.lower(): "entry"}
    wanted[settings.marker_attribute.lower()] = "marker_attribute"
    if settings.role_attribute:
        wanted[settings.role_attribute.lower()] = "role_attribute"
    if settings.lock is Lock.SHADOW:
        wanted[settings.lock.value.lower()] = "lock"
    allowed = {name for names in (*must.values(), *may.values()) for name in names}
    for name, setting in wanted.items():
        if name not in allowed and "extensibleobject" not in map(str.lower, classes):
            what = f"object classes {', '.join(classes)} allow no {name}"
            raise ConnectorError(what, permanent=True, setting=setting)
    found = schema.get_inheritedobj(AttributeType, settings.marker_attribute, ["substr"])
    if found is not None and not found.substr:
        what = f"{settings.marker_attribute} cannot be searched by its beginning"
        raise ConnectorError(what, permanent=True, setting="marker_attribute")


def _check_group(schema: SubSchema, classes: list[str], settings: LdapSettings) -> None:
    if not classes:
        return
    must, may = _allowed(schema, classes)
    if settings.member_attribute.lower() not in {name for names in (*must.values(), *may.values()) for name in names}:
        what = f"{settings.group_dn} is of {', '.join(classes)}, which allow no {settings.member_attribute}"
        raise ConnectorError(what, permanent=True, setting="member_attribute")


def _known(schema: SubSchema, classes: list[str]) -> None:
    for name in classes:
        if schema.get_obj(ObjectClass, name) is None:
            raise ConnectorError(f"the server knows no object class {name}", permanent=True, setting="entry")


def _allowed(schema: SubSchema, classes: list[str]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return what must and what may stand in an entry of these classes: each attribute with all of its names."""
    must, may = schema.attribute_types(classes, raise_keyerror=0)
    return _names(must), _names(may)


def _names(kinds: Mapping[str, AttributeType | None]) -> dict[str, set[str]]:
    every = {oid: (kind.names if kind is not None else ()) or (oid,) for oid, kind in kinds.items()}
    return {names[0]: {name.lower() for name in names} for names in every.values()}


def _plain(dn: str) -> str:
    return str(ldap.dn.dn2str(ldap.dn.str2dn(dn))).lower()
