"""Names of the metrics that the functions write to their logs as EMF; a test compares them with those that they emit.

Without the CDK, which operator tools need not import.
"""

from __future__ import annotations

NAMESPACE = "Loupe"
REQUESTS = "Requests"
PROBLEMS = "Problems"
PREDICTIONS = "Predictions"
CONFIDENCE = "Confidence"
COLD_STARTS = "ColdStart"
# Over all routes and triggers: 5xx except deadline_exceeded, by request or batch item; 0 for a request without any.
SERVER_FAULTS = "ServerFaults"
# Of the JWT authorizer, with the dimension Environment alone.
AUTHORIZER_FAULTS = "AuthorizerFaults"
# Of deployments with a prediction cache alone.
CACHE_HITS, CACHE_MISSES = "CacheHits", "CacheMisses"
# Of experiments with live weights alone, with the dimension Environment alone.
WEIGHT_FAILURES = "WeightFailures"
# Of a shadow test alone, by environment, champion and challenger.
SHADOW_SENT, SHADOW_DROPPED, SHADOW_FAILURES = "ShadowSent", "ShadowDropped", "ShadowFailures"
SHADOW_AGREEMENT, SHADOW_DISAGREEMENTS = "Agreement", "Disagreements"
# Champion of the failures of events that cannot be read.
SHADOW_UNREAD = "unknown"
SHADOW_DIFFERENCE, SHADOW_LATENCY = "ProbabilityDifference", "ChallengerLatency"
STAGE_LATENCIES = ("SourceLatency", "DecodeLatency", "TensorLatency", "ModelLatency")
TOTAL_LATENCY = "TotalLatency"
# Of a version of the function while an alias shifts to it: golden cases, and those answered wrongly or not at all.
SYNTHETIC_REQUESTS, SYNTHETIC_FAILURES = "SyntheticRequests", "SyntheticFailures"
