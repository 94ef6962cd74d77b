"""Actions and resources that IAM checks, where MiniStack has others than AWS.

Source: Service Authorization Reference, AWS Lambda and AWS Step Functions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localcloud.ministack.compatibility import IAM_ACTIONS
from localcloud.ministack.replacement import Replacement

if TYPE_CHECKING:
    from collections.abc import Callable

# Of a function's ARN without a qualifier: arn:aws:lambda:region:account:function:name.
ARN_COLONS = 6
# Methods of ``/functions/<name>/aliases/<alias>``; MiniStack checks ListAliases for all of them.
ALIAS_ACTIONS = {"GET": "GetAlias", "PUT": "UpdateAlias", "DELETE": "DeleteAlias"}


def naming_alias_actions(name: Callable[[str, str], str | None]) -> Callable[[str, str], str | None]:
    """Name the actions on one alias."""

    def name_action(method: str, path: str) -> str | None:
        *_, collection, alias = ["", *path.strip("/").split("/")]
        if collection == "aliases" and alias:
            return ALIAS_ACTIONS.get(method)
        return name(method, path)

    return name_action


def naming_resources(extract: Callable[..., str]) -> Callable[..., str]:
    """Check an action on what it names: a Map Run, a version or an alias.

    MiniStack checks Map Runs on all resources. It checks an invocation with a qualifier on the function, to which a
    policy for its versions does not apply.
    """

    def extract_resource(
        service: str, method: str, path: str, headers: Any, body: bytes, query_params: Any, *rest: Any
    ) -> str:
        if service == "states" and b'"mapRunArn"' in (body or b""):
            try:
                arn = json.loads(body).get("mapRunArn")
            except (ValueError, AttributeError):
                arn = None
            if isinstance(arn, str):
                return arn
        resource = extract(service, method, path, headers, body, query_params, *rest)
        qualifier = (query_params or {}).get("Qualifier")
        if service == "lambda" and path.endswith("/invocations") and qualifier and resource.count(":") == ARN_COLONS:
            return f"{resource}:{qualifier[0] if isinstance(qualifier, list) else qualifier}"
        return resource

    return extract_resource


def replacements() -> tuple[Replacement, ...]:
    """Replacements in what MiniStack checks for a request."""
    return (
        Replacement(IAM_ACTIONS, "_lambda_action", naming_alias_actions),
        Replacement(IAM_ACTIONS, "extract_resource_arn", naming_resources),
    )
