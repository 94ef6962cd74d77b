"""Accept a deployment: deploy, smoke test, change settings, destroy, and look for leftovers; on AWS or locally."""
