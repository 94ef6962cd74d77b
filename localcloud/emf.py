"""CloudWatch's embedded metric format: metrics that a function writes as lines of its log.

Source: Amazon CloudWatch user guide, 'Specification: Embedded metric format'.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def metric_data(line: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Namespace and PutMetricData datum of every metric in a log line; none for an ordinary line."""
    if '"_aws"' not in line:
        return
    try:
        record = json.loads(line)
        metadata = record["_aws"]
        directives = metadata["CloudWatchMetrics"]
        time = datetime.fromtimestamp(metadata["Timestamp"] / 1000, UTC)
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive.get("Dimensions", [[]]):
            dimensions = [{"Name": name, "Value": str(record[name])} for name in names if name in record]
            for metric in directive.get("Metrics", []):
                value = record.get(metric["Name"])
                if value is None:
                    continue
                datum = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Unit": metric.get("Unit", "None"),
                    "Timestamp": time,
                    "Values": [float(item) for item in value] if isinstance(value, list) else [float(value)],
                }
                yield directive["Namespace"], datum
