"""SCIM 2.0 over the product's own tables; scim2-server speaks the protocol.

The product's own people are shown and can be found, so that names are not given twice; they are neither changed nor
deleted from outside.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    EnterpriseUser,
    ETag,
    Filter,
    ForbiddenException,
    Group,
    NotFoundException,
    NotImplementedException,
    Patch,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    UnauthorizedException,
    UniquenessException,
    User,
)
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.requests import ScimRequest
from scim2_server.storage import ScimStorage, SearchPage

from .store import Store

BEARER = AuthenticationScheme(
    type=AuthenticationScheme.Type.oauthbearertoken, name="bearer", description="A token that we gave you"
)
PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(User[EnterpriseUser]), ResourceType.from_resource(Group)],
    config=ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=200),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[BEARER],
    ),
)
OURS_ALONE = {"id", "meta", "groups", "members", "password"}
"""What we say ourselves, or keep in a table of its own, or do not keep at all."""


def application(store: Store, token: str) -> WSGIApplication:
    """Return the endpoint, a WSGI application; it answers below ``/v2`` of where it is mounted."""
    return _BearerApplication(ProductStorage(store), token)


class _BearerApplication(WSGIApplication):
    def __init__(self, storage: ScimStorage, token: str) -> None:
        super().__init__(storage, PROVIDER)
        self._token = token

    def check_auth(self, request: ScimRequest) -> None:
        """Refuse whoever does not have the token."""
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            raise UnauthorizedException


class ProductStorage(ScimStorage):
    """People and groups, as SCIM sees them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """As ``ScimStorage.get``."""
        with self._store.begin() as rows:
            return _read(rows, resource_type, resource_id)

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """As ``ScimStorage.search``; a product with more than some thousand people would ask its database."""
        if len(resource_types) != 1:
            raise NotImplementedException
        with self._store.begin() as rows:
            everything = list(_all(rows, resource_types[0]))
        wanted = search_request.filter
        found = [one for one in everything if wanted is None or wanted.match(one)]
        first = search_request.start_index_0 or 0
        last = None if search_request.count is None else first + search_request.count
        return SearchPage(len(found), found[first:last])

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """As ``ScimStorage.create``."""
        columns = _columns(resource)
        columns |= {"id": str(uuid.uuid4()), "created": columns["modified"]}
        marks = ",".join("?" * len(columns))
        statement = f"INSERT INTO {_table(resource_type)} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608
        with self._store.begin() as rows:
            _execute(rows, statement, *columns.values())
            _put_members(rows, columns["id"], resource)
            return _read(rows, resource_type, columns["id"])

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """As ``ScimStorage.update``."""
        columns = _columns(resource)
        names = ",".join(f"{name} = ?" for name in columns)
        statement = f"UPDATE {_table(resource_type)} SET {names}, version = version + 1 WHERE id = ?"  # noqa: S608
        with self._store.begin() as rows:
            key = _changeable(rows, resource_type, resource.id, expected_version)["id"]
            _execute(rows, statement, *columns.values(), key)
            _put_members(rows, key, resource)
            return _read(rows, resource_type, key)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """As ``ScimStorage.delete``; the person's sessions and memberships go, too."""
        with self._store.begin() as rows:
            row = _changeable(rows, resource_type, resource_id, expected_version)
            rows.execute(f"DELETE FROM {_table(resource_type)} WHERE id = ?", (row["id"],))  # noqa: S608


def _all(rows: sqlite3.Connection, kind: ResourceType) -> Iterator[Resource[Any]]:
    for row in rows.execute(f"SELECT * FROM {_table(kind)} ORDER BY created, id").fetchall():  # noqa: S608
        yield _resource(rows, kind, row)


def _read(rows: sqlite3.Connection, kind: ResourceType, key: str) -> Resource[Any]:
    return _resource(rows, kind, _row(rows, kind, key))


def _row(rows: sqlite3.Connection, kind: ResourceType, key: str | None) -> sqlite3.Row:
    row: sqlite3.Row | None = rows.execute(
        f"SELECT * FROM {_table(kind)} WHERE id = ?",  # noqa: S608
        (key,),
    ).fetchone()
    if row is None:
        raise NotFoundException
    return row


def _changeable(rows: sqlite3.Connection, kind: ResourceType, key: str | None, expected: str | None) -> sqlite3.Row:
    row = _row(rows, kind, key)
    if expected is not None and expected != _version(row):
        raise PreconditionFailedException
    if row["provisioned"] is None:
        raise ForbiddenException(detail="This is one of the product's own people.")
    return row


def _resource(rows: sqlite3.Connection, kind: ResourceType, row: sqlite3.Row) -> Resource[Any]:
    """Return a row as SCIM sees it: what SCIM said before, and what our columns say now."""
    said = json.loads(row["provisioned"] or "{}")
    said |= {"id": row["id"], "displayName": row["display_name"]}
    said["meta"] = {
        "resourceType": _name(kind),
        "created": _when(row["created"]),
        "lastModified": _when(row["modified"]),
        "version": _version(row),
    }
    if _name(kind) == "User":
        said |= {"userName": row["user_name"], "active": bool(row["active"])}
        query = "SELECT groups.* FROM groups JOIN members ON group_id = groups.id WHERE person_id = ?"
        found = rows.execute(query, (row["id"],)).fetchall()
        said["groups"] = [{"value": one["id"], "display": one["display_name"]} for one in found] or None
    else:
        query = "SELECT people.* FROM people JOIN members ON person_id = people.id WHERE group_id = ?"
        found = rows.execute(query, (row["id"],)).fetchall()
        said["members"] = [{"value": one["id"], "display": one["user_name"], "type": "User"} for one in found] or None
    model: type[Resource[Any]] = PROVIDER.model_for(kind)  # type: ignore[assignment]
    return model.model_validate(said)


def _put_members(rows: sqlite3.Connection, group: str, resource: Resource[Any]) -> None:
    """Make these the group's members; of whom SCIM did not make, none comes and none goes."""
    if not isinstance(resource, Group):
        return
    wanted = [(group, one.value) for one in resource.members or []]
    ours = "SELECT id FROM people WHERE provisioned IS NOT NULL"
    rows.execute(f"DELETE FROM members WHERE group_id = ? AND person_id IN ({ours})", (group,))  # noqa: S608
    rows.executemany(f"INSERT OR IGNORE INTO members SELECT ?, id FROM people WHERE id = ? AND id IN ({ours})", wanted)  # noqa: S608


def _columns(resource: Resource[Any]) -> dict[str, Any]:
    said = {name: value for name, value in json.loads(resource.model_dump_json()).items() if name not in OURS_ALONE}
    columns = {
        "display_name": getattr(resource, "display_name", None),
        "provisioned": json.dumps(said),
        "modified": time.time(),
    }
    if isinstance(resource, User):
        columns |= {"user_name": resource.user_name, "active": resource.active is not False}
    return columns


def _execute(rows: sqlite3.Connection, statement: str, *values: Any) -> None:
    try:
        rows.execute(statement, values)
    except sqlite3.IntegrityError:
        raise UniquenessException from None


def _name(kind: ResourceType) -> str:
    return str(kind.name)


def _table(kind: ResourceType) -> str:
    return {"User": "people", "Group": "groups"}[_name(kind)]


def _version(row: sqlite3.Row) -> str:
    return f'W/"{row["version"]}"'


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
