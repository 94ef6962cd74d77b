"""What `tools.doctor`, `experiment`, `logs`, `rollback`, `status` and `versions` share: targets, stacks, versions."""
