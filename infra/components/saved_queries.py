"""Queries of CloudWatch Logs Insights that an operator finds in the console, in a folder of the deployment's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.deployment import Deployment

# Of the function's log; a test compares the fields with those that it writes.
FUNCTION_QUERIES: Mapping[str, str] = {
    "slowest requests": """filter message = "request"
| fields @timestamp, request_id, route, source, duration_ms, stages_ms.source, stages_ms.decode, stages_ms.model
| sort duration_ms desc
| limit 50""",
    "errors by code": """filter ispresent(code)
| stats count(*) as requests, latest(request_id) as example by code, status, raised_at
| sort requests desc""",
    # Images of single requests; those of batches are in item_labels.
    "label mix": """filter ispresent(label)
| stats count(*) as images by label, model, model_version, model_variant
| sort images desc""",
    # Lambda's own line of an invocation that began with a start.
    "cold starts": """filter @type = "REPORT" and ispresent(@initDuration)
| stats count(*) as cold_starts, avg(@initDuration) as average_ms, max(@initDuration) as longest_ms by bin(5m)""",
}
# Of the function's log and the API's access log together.
REQUEST_QUERY = """fields @timestamp, @log, @message
| filter request_id = "REQUEST_ID" or function_request_id = "REQUEST_ID" or @requestId = "REQUEST_ID"
| sort @timestamp"""
# Of the access log; `{field}` names the client in the mode of authorization.
CALLER_QUERY = """filter {field} = "CALLER"
| stats count(*) as requests, avg(latency_ms) as average_ms, sum(bytes) as response_bytes by status, error, path
| sort requests desc"""


class SavedQueries(Construct):
    """One query definition for each query."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        function_log: logs.ILogGroup,
        access_log: logs.ILogGroup,
        caller_field: str,
    ) -> None:
        super().__init__(scope, id)
        self._deployment = deployment
        for name, query in FUNCTION_QUERIES.items():
            self._add(name, query, [function_log])
        self._add("one request", REQUEST_QUERY, [function_log, access_log])
        self._add("one caller", CALLER_QUERY.format(field=caller_field), [access_log])

    def _add(self, name: str, query: str, groups: Sequence[logs.ILogGroup]) -> None:
        logs.CfnQueryDefinition(
            self,
            name.title().replace(" ", ""),
            # The console shows what stands before the slash as a folder.
            name=f"{self._deployment.name}/{name}",
            query_string=query,
            log_group_names=[group.log_group_name for group in groups],
        )
