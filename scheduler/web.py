"""The page *Jobs*: what happens by itself, and **Run now**. Views only translate."""

from __future__ import annotations

from flask import Blueprint, Flask, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from scheduler import queries, runs
from scheduler.models import DONE
from scheduler.sections import sections
from tempadmin.accounts import login
from tempadmin.accounts.models import OMNIADMIN
from tempadmin.jobs import jobs
from tempadmin.runtime import application, current_runtime
from tempadmin.web import navigation
from tempadmin.web.guard import allow

blueprint = Blueprint("scheduler", __name__)


def init_app(app: Flask) -> None:
    """Add the page and its entry in the bar."""
    app.register_blueprint(blueprint)
    navigation.items(app).append(
        navigation.Item(
            label="Jobs",
            endpoint="scheduler.jobs_page",
            description="What happens by itself, when it last did, and when it will next.",
            order=40,
        )
    )


@blueprint.get("/jobs")
@allow(OMNIADMIN, place="console")
def jobs_page() -> str:
    """Show who leads, and each job with its last and next run."""
    now = current_runtime().now()
    registered = jobs(application()).values()
    rows = [
        {**vars(row), "run_url": url_for("scheduler.run", name=row.name)} for row in queries.job_rows(registered, now)
    ]
    added = [(one.template, found) for one in sections(application()) if (found := one.values())]
    return render_template("scheduler/jobs.html", leader=queries.leader(now), jobs=rows, sections=added)


@blueprint.post("/jobs/<name>/run")
@allow(OMNIADMIN, place="console")
def run(name: str) -> Response:
    """Run a job in this request; the answer waits for it."""
    finished = runs.run_now(name=name, asked_by=login.actor(), runtime=current_runtime())
    if finished.outcome == DONE:
        flash(f"{name}: {finished.detail}", "success")
    else:
        flash(f"{name} failed ({finished.detail}). The service's log says more.", "danger")
    return redirect(url_for("scheduler.jobs_page"))
