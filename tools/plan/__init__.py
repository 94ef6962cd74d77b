"""The planner: from a measured duration and a load to environments, throttles, costs and settings."""
