"""The peers: how people serve such a model today, written as their own guides write it."""
