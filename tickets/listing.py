"""What on-demand access adds to the list of instances: the row action, the policy, and what goes on now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask

from instances.actions import Badge, Column, Listed, RowAction, addresses, instance_list
from tempadmin.errors import Unreadable
from tempadmin.runtime import current_runtime
from tempadmin.web import words
from tickets import entries, queries
from tickets.asking import sides_needed
from tickets.states import State

POLICY_WORDS = {
    frozenset[str](): Badge("no approval"),
    frozenset({"customer"}): Badge("asks its customer", "wait"),
    frozenset({"omniadmin"}): Badge("second omniadmin", "wait"),
    frozenset({"customer", "omniadmin"}): Badge("both", "wait"),
}


def init_app(app: Flask) -> None:
    """Register the columns and the action."""
    added = instance_list(app)
    added.columns += [Column(title="Policy", cells=policies), Column(title="Now", cells=goings_on)]
    added.actions.append(RowAction(label="Request admin access", urls=_ask_urls))
    added.actions.append(RowAction(label="Request impersonation", urls=_impersonate_urls))


def policies(instances: Sequence[Listed]) -> Mapping[int, Sequence[Badge]]:
    """Say whose yes each instance wants."""
    runtime, badges = current_runtime(), {}
    for instance in instances:
        try:
            badges[instance.id] = [POLICY_WORDS[sides_needed(instance, runtime)]]
        except Unreadable:  # one such row must not hide all others; asking is refused (S36)
            badges[instance.id] = [Badge("policy cannot be read", "alert")]
    return badges


def goings_on(instances: Sequence[Listed]) -> Mapping[int, Sequence[Badge]]:
    """Say who is inside, and who is on the way."""
    return {
        instance_id: [_badge(request) for request in found]
        for instance_id, found in queries.open_by_instance(instances).items()
    }


def _badge(request: Any) -> Badge:
    if request.state == State.ACTIVE and request.ends_at is not None:
        left = words.duration(request.ends_at - current_runtime().now())
        return Badge(f"{request.requester_name} inside, {left} left", "alert")
    return Badge(f"{request.requester_name} on the way", "wait")


def _ask_urls(instances: Sequence[Listed]) -> Mapping[int, str]:
    return addresses("asking.ask", filter(_is_target, instances))


def _impersonate_urls(instances: Sequence[Listed]) -> Mapping[int, str]:
    with_pages = {name for name in {one.connector for one in instances} if entries.has_our_pages(name)}
    ours = [one for one in instances if _is_target(one) and one.connector in with_pages]
    signed_in_to = entries.with_client(ours)
    return addresses("asking.impersonate", [one for one in ours if one.id not in signed_in_to])


def _is_target(instance: Listed) -> bool:
    return not instance.is_default and instance.archived_at is None
