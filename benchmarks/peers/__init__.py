"""The peers: other ways to serve such a model, written as in their own guides."""
