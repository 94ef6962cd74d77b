"""The routes of bulk jobs, which only a deployment with bulk jobs has."""

from __future__ import annotations

from typing import NamedTuple

from loupe.errors import MethodNotAllowed, NotFound

_PARAMETERS = ("{id}", "{name}")


class JobRoute(NamedTuple):
    """A method and a path, which may have ``{id}`` (a job) or ``{name}`` (a model) as one of its segments."""

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
# Of a deployment with several models alone.
MODEL_JOB_ROUTES = (JobRoute("POST", "/v1/models/{name}/jobs", "startModelJob"),)
_ALL = (*JOB_ROUTES, *MODEL_JOB_ROUTES)


def job_methods(path: str) -> tuple[str, ...]:
    """Return every method that a path of these routes takes: HEAD goes with GET, OPTIONS with all."""
    methods = [route.method for route in _ALL if route.path == path]
    return (*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS")


def find_job_route(method: str, path: str, *, models: bool = False) -> tuple[str, str, str]:
    """Return the route's name, its path, and the id or model in the request's path ('' where it has none).

    Parameters
    ----------
    models
        Also find those of `MODEL_JOB_ROUTES`.

    Raises
    ------
    loupe.errors.NotFound, loupe.errors.MethodNotAllowed
    """
    routes = _ALL if models else JOB_ROUTES
    path = path.rstrip("/")
    if path.count("/") <= 4:
        segments = path.split("/")
        for template in dict.fromkeys(route.path for route in routes):
            parts = template.split("/")
            if len(parts) == len(segments) and all(
                part == segment or part in _PARAMETERS for part, segment in zip(parts, segments, strict=True)
            ):
                values = [segment for part, segment in zip(parts, segments, strict=True) if part in _PARAMETERS]
                return _name(method, template), template, "".join(values)
    raise NotFound(f"There are: {', '.join(f'{route.method} {route.path}' for route in routes)}.")


def _name(method: str, template: str) -> str:
    if method == "OPTIONS":
        return "options"
    served_method = "GET" if method == "HEAD" else method
    for route in _ALL:
        if (route.method, route.path) == (served_method, template):
            return route.name
    allowed = job_methods(template)
    raise MethodNotAllowed(f"This route takes {', '.join(allowed)}.", headers={"Allow": ", ".join(allowed)})
