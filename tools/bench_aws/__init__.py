"""Measure the function on AWS: memory, architecture, model variant and SnapStart against start, latency and price."""
