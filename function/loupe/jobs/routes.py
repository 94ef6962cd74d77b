"""The routes of bulk jobs, which only a deployment with bulk jobs has."""

from __future__ import annotations

from typing import NamedTuple

from loupe.errors import MethodNotAllowed, NotFound

_PARAMETER = "{id}"


class JobRoute(NamedTuple):
    """A method and a path, which may have ``{id}`` as one of its segments."""

    method: str
    path: str
    name: str


JOB_ROUTES = (
    JobRoute("POST", "/v1/jobs", "startJob"),
    JobRoute("GET", "/v1/jobs", "listJobs"),
    JobRoute("GET", "/v1/jobs/{id}", "getJob"),
    JobRoute("DELETE", "/v1/jobs/{id}", "stopJob"),
    JobRoute("POST", "/v1/jobs/{id}/redrive", "redriveJob"),
    JobRoute("GET", "/v1/jobs/{id}/rows", "listJobRows"),
)


def job_methods(path: str) -> tuple[str, ...]:
    """Return every method that a path of `JOB_ROUTES` takes: HEAD goes with GET, OPTIONS with all."""
    methods = [route.method for route in JOB_ROUTES if route.path == path]
    return (*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS")


def find_job_route(method: str, path: str) -> tuple[str, str, str]:
    """Return the route's name, its path, and the id in the request's path ('' where it has none).

    Raises
    ------
    loupe.errors.NotFound, loupe.errors.MethodNotAllowed
    """
    path = path.rstrip("/")
    if path.count("/") <= 4:
        segments = path.split("/")
        for template in dict.fromkeys(route.path for route in JOB_ROUTES):
            parts = template.split("/")
            if len(parts) == len(segments) and all(
                part in (_PARAMETER, segment) for part, segment in zip(parts, segments, strict=True)
            ):
                job_id = segments[parts.index(_PARAMETER)] if _PARAMETER in parts else ""
                return _name(method, template), template, job_id
    raise NotFound(f"There are: {', '.join(f'{route.method} {route.path}' for route in JOB_ROUTES)}.")


def _name(method: str, template: str) -> str:
    if method == "OPTIONS":
        return "options"
    wanted = "GET" if method == "HEAD" else method
    for route in JOB_ROUTES:
        if (route.method, route.path) == (wanted, template):
            return route.name
    allowed = job_methods(template)
    raise MethodNotAllowed(f"This route takes {', '.join(allowed)}.", headers={"Allow": ", ".join(allowed)})
