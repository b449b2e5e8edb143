"""How SCIM servers answer: each manner departs from RFC 7644, or from what others do, in one way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.instances.scim_server import Asked, Manner, Said, Serve, html


def without(asked: Asked, *names: str) -> Asked:
    return replace(asked, query={name: value for name, value in asked.query.items() if name not in names})


def is_list(asked: Asked) -> bool:
    return asked.method == "GET" and asked.path in {"/Users", "/Groups"}


def each(said: Said, change: Any) -> Said:
    """Change every entry of an answer, be it one or a list."""
    if said.status >= 300 or not said.body:
        return said
    content = said.json
    return said.of({**content, "Resources": [change(one) for one in content["Resources"]]}
                   if "Resources" in content else change(content))  # fmt: skip


def honest(asked: Asked, serve: Serve) -> Said:
    """As the RFC has it."""
    return serve(asked)


def ignores_filters(asked: Asked, serve: Serve) -> Said:
    """Everybody, whatever was asked, with 200."""
    return serve(without(asked, "filter"))


def knows_no_filter(asked: Asked, serve: Serve) -> Said:
    return serve(asked) if "filter" not in asked.query else Said(
        400, b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidFilter"}'
    )  # fmt: skip


def has_no_filter(asked: Asked, serve: Serve) -> Said:
    return serve(asked) if "filter" not in asked.query else html(501)


def finds_nobody(asked: Asked, serve: Serve) -> Said:
    """An empty list for every filter."""
    return Said(200).of({"Resources": [], "totalResults": 0}) if "filter" in asked.query else serve(asked)


def finds_by_user_name_only(asked: Asked, serve: Serve) -> Said:
    """An empty list for every filter by something else, as django-scim2 does; ids are not just any text."""
    if asked.path.startswith("/Groups/Admin"):
        return html(400)
    return serve(asked) if asked.query.get("filter", "userName").startswith("userName") else finds_nobody(asked, serve)


def filters_by_name_only(asked: Asked, serve: Serve) -> Said:
    return html(400) if "externalId" in asked.query.get("filter", "") else serve(asked)


def fails_on_count(asked: Asked, serve: Serve) -> Said:
    """Canaille 0.3.6 compares the text of `count` with a number; it knows no filters either."""
    return html(500) if "count" in asked.query else serve(without(asked, "filter"))


def fails_on_attributes(asked: Asked, serve: Serve) -> Said:
    return html(400) if "attributes" in asked.query else serve(asked)


def caps_pages(asked: Asked, serve: Serve) -> Said:
    """Two of everybody at a time, whatever was asked, and nothing said of it."""
    if not is_list(asked):
        return serve(asked)
    said = serve(replace(asked, query={**without(asked, "filter").query, "count": "2"}))
    return said.of({name: value for name, value in said.json.items() if name != "itemsPerPage"})


def says_no_total(asked: Asked, serve: Serve) -> Said:
    said = caps_pages(asked, serve)
    if not is_list(asked):
        return said
    return said.of({name: value for name, value in said.json.items() if name != "totalResults"})


def patches_with_204(asked: Asked, serve: Serve) -> Said:
    said = serve(asked)
    return Said(204) if asked.method == "PATCH" and said.status == 200 else said


def patches_with_200(asked: Asked, serve: Serve) -> Said:
    """The entry as it was before, or nothing but a page that says well done."""
    if asked.method != "PATCH":
        return serve(asked)
    serve(asked)
    return Said(200, b"<html>well done</html>", {"Content-Type": "text/html"})


def has_one_etag_for_all(asked: Asked, serve: Serve) -> Said:
    """A version of the whole second: whoever makes a write depend on it is refused, or overwrites."""
    if "IF_MATCH" in asked.headers or "IF_NONE_MATCH" in asked.headers:
        return html(412)
    said = each(serve(asked), lambda one: {**one, "meta": {**one.get("meta", {}), "version": 'W/"1"'}})
    return replace(said, headers={**said.headers, "ETag": 'W/"1"'})


def locates_by_name(asked: Asked, serve: Serve) -> Said:
    """`meta.location` says /Users/<userName>, and on another host."""

    def change(one: dict[str, Any]) -> dict[str, Any]:
        where = f"https://somewhere.else.example/Users/{one.get('userName')}"
        return {**one, "meta": {**one.get("meta", {}), "location": where}}

    said = each(serve(asked), change)
    return replace(said, headers={**said.headers, "Location": "https://somewhere.else.example/Users/x"})


def makes_active(asked: Asked, serve: Serve) -> Said:
    """Each account is active when it is made, whatever was sent."""
    if asked.method != "POST":
        return serve(asked)
    return serve(replace(asked, body=asked.body.replace(b'"active": false', b'"active": true')))


def folds_case(asked: Asked, serve: Serve) -> Said:
    """User names are kept, and shown, in capitals."""
    said = serve(asked)
    return each(said, lambda one: {**one, "userName": one["userName"].upper()} if "userName" in one else one)


def lists_odd_people(asked: Asked, serve: Serve) -> Said:
    """Somebody in the list would not pass any validation."""
    odd = {"id": 7, "userName": "", "emails": [{"value": "no address"}, None], "active": "yes", "roles": "x", "x": {}}
    said = ignores_filters(asked, serve)
    if asked.path != "/Users" or not is_list(asked):
        return said
    content = said.json
    return said.of({**content, "Resources": [odd, *content["Resources"]], "totalResults": content["totalResults"] + 1})


def deletes_with_200(asked: Asked, serve: Serve) -> Said:
    said = serve(asked)
    return Said(200, b"gone", {"Content-Type": "text/plain"}) if asked.method == "DELETE" else said


def was_faster(asked: Asked, serve: Serve) -> Said:
    """Somebody else deleted it meanwhile, or the answer to a first try was lost."""
    said = serve(asked)
    return serve(asked) if asked.method == "DELETE" else said


def knows_nothing_of_itself(asked: Asked, serve: Serve) -> Said:
    return html(404) if asked.path == "/ServiceProviderConfig" else serve(asked)


def speaks_plain_json(asked: Asked, serve: Serve) -> Said:
    said = serve(asked)
    return replace(said, headers={**said.headers, "Content-Type": "text/plain; charset=utf-16"})


def keeps_members(asked: Asked, serve: Serve) -> Said:
    """Memberships cannot be ended: a group keeps whoever was deleted."""
    gone = asked.method == "PATCH" and asked.path.startswith("/Groups/") and b'"remove"' in asked.body
    return html(500) if gone else serve(asked)


def cannot_deactivate(asked: Asked, serve: Serve) -> Said:
    """An account that is active stays so until it is deleted."""
    return html(501) if asked.method == "PATCH" and b'"value": false' in asked.body else serve(asked)


def names_members() -> Manner:
    """The members of a group are called by their names, as Canaille does."""
    ids: dict[str, str] = {}

    def answer(asked: Asked, serve: Serve) -> Said:
        if not asked.path.startswith("/Groups/"):
            return serve(asked)
        for name, entry_id in ids.items():
            asked = replace(asked, body=asked.body.replace(f'\\"{name}\\"'.encode(), f'\\"{entry_id}\\"'.encode()))
        said = serve(asked)
        group = said.json if said.body else {}
        for member in group.get("members", []):
            user = serve(replace(asked, method="GET", path=f"/Users/{member['value']}", query={}, body=b"")).json
            ids[user["userName"]], member["value"] = member["value"], user["userName"]
        return said.of(group) if said.body else said

    return answer


def lists_late() -> Manner:
    """Lists come from an index that follows: the next one lacks who was made, and has who was deleted."""
    late: list[Said] = []

    def answer(asked: Asked, serve: Serve) -> Said:
        everybody = replace(asked, method="GET", path="/Users", query={}, body=b"")
        if asked.method in {"POST", "DELETE"}:
            late[:] = [serve(everybody)]
        return late.pop() if late and asked.method == "GET" and asked.path == "/Users" else serve(asked)

    return answer


HARMLESS: tuple[Manner, ...] = (
    honest,
    ignores_filters,
    knows_no_filter,
    has_no_filter,
    finds_nobody,
    finds_by_user_name_only,
    filters_by_name_only,
    fails_on_count,
    fails_on_attributes,
    caps_pages,
    says_no_total,
    patches_with_204,
    patches_with_200,
    has_one_etag_for_all,
    locates_by_name,
    makes_active,
    folds_case,
    lists_odd_people,
    deletes_with_200,
    was_faster,
    knows_nothing_of_itself,
    speaks_plain_json,
    keeps_members,
    cannot_deactivate,
)
"""Those with whom every account is made, entered and removed as with an honest server."""
