"""Targets, stacks and versions, shared by `tools.doctor`, `experiment`, `logs`, `rollback`, `status` and `versions`."""
