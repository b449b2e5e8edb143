"""``tempadmin instance check``: whether an instance's directory does all that an access needs."""

from __future__ import annotations

import json
import sys

import click

from tempadmin.cli import with_app
from tempadmin.runtime import Runtime
from tickets.check import check_instance


@click.command("check")
@with_app
@click.argument("web_id")
@click.option("--json", "as_json", is_flag=True)
def check(runtime: Runtime, web_id: str, *, as_json: bool) -> None:
    """Try the whole way of an account with one that is thrown away, and print each step.

    It is made, let in, entered where that is by a password, shut and removed; a step that fails names the setting that
    is at fault. Whatever fails, the account is removed, if need be later by the removal job. Exit code 0 when all of it
    went well, 1 otherwise.
    """
    steps, failed = [], False
    for step in check_instance(web_id=web_id, runtime=runtime):
        steps.append({**vars(step), "seconds": round(step.seconds, 3), "ok": step.error is None})
        failed = failed or step.error is not None
        if not as_json:
            at_fault = f"{step.setting}: " if step.setting else ""
            told = step.what if step.error is None else f"{step.what}: {at_fault}{step.error}"
            click.echo(f"{'ok' if step.error is None else 'error':<5} {step.seconds:7.3f} s  {told}")
    if as_json:
        click.echo(json.dumps({"web_id": web_id, "ok": not failed, "steps": steps}, ensure_ascii=False))
    else:
        click.echo("Not all of it went well." if failed else "All of it went well, and nothing is left there.")
    if failed:
        sys.exit(1)
