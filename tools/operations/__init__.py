"""What the commands of an operator share: `tools.logs`, `tools.status` and `tools.rollback`."""
