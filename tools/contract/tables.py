"""The tables of docs/api.md that are made from the code: problems and routes."""

from __future__ import annotations

import re

from loupe.errors import all_problems
from loupe.http.routes import MODEL_ROUTES, ROUTES, methods
from loupe.jobs.routes import JOB_ROUTES, MODEL_JOB_ROUTES

from tools.contract.jobs import JOB_OPERATIONS, MODEL_JOB_OPERATIONS
from tools.contract.operations import MODEL_OPERATIONS, OPERATIONS
from tools.contract.problems import EXAMPLES, GATEWAY_PROBLEMS


def problems() -> str:
    """Return the table of every code, by status."""
    rows = {kind.code: (kind.status, kind.title, EXAMPLES[kind], "the function") for kind in all_problems()}
    for problem in GATEWAY_PROBLEMS:
        rows.setdefault(problem.code, (problem.status, problem.title, problem.detail, "the gateway"))
    lines = ["| status | code | what it means | for example | from |", "|---|---|---|---|---|"]
    for code, (status, title, detail, origin) in sorted(rows.items(), key=lambda row: (row[1][0], row[0])):
        lines.append(f"| {status} | `{code}` | {title} | {detail} | {origin} |")
    return "\n".join(lines)


def routes() -> str:
    """Return the table of the routes."""
    lines = ["| call | what for | API key |", "|---|---|---|"]
    for route in ROUTES:
        also = " (HEAD, too)" if "HEAD" in methods(route) else ""
        key = "if the deployment requires one" if route.keyed else "no"
        lines.append(f"| `{route.method} {route.path}`{also} | {OPERATIONS[route.name]()['summary']} | {key} |")
    return "\n".join(lines)


def models() -> str:
    """Return the table of the routes of a deployment with several models."""
    rows = (
        f"| `{route.method} {route.path}` | {MODEL_OPERATIONS[route.name]()['summary']} |" for route in MODEL_ROUTES
    )
    of_jobs = (
        f"| `{route.method} {route.path}` | {MODEL_JOB_OPERATIONS[route.name]()['summary']} (with bulk jobs) |"
        for route in MODEL_JOB_ROUTES
    )
    return "\n".join(["| call | what for |", "|---|---|", *rows, *of_jobs])


def jobs() -> str:
    """Return the table of the routes of bulk jobs."""
    lines = ["| call | what for |", "|---|---|"]
    for route in JOB_ROUTES:
        also = " (HEAD, too)" if route.method == "GET" else ""
        lines.append(f"| `{route.method} {route.path}`{also} | {JOB_OPERATIONS[route.name]()['summary']} |")
    return "\n".join(lines)


TABLES = {"problems": problems, "routes": routes, "models": models, "jobs": jobs}


def fill(text: str) -> str:
    """Return a Markdown page with what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` renewed."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )
