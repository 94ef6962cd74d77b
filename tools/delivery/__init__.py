"""The steps of .github/workflows/deliver.yml: gate, build, push, bill of materials, smoke test of an environment."""
