"""Accept a deployment: deploy, smoke test, change settings, destroy, and look for what stayed; on AWS or locally."""
