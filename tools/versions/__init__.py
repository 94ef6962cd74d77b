"""Published versions of an environment's functions: which are in use, which may be deleted.

``python -m tools.versions --env prod`` lists them; ``--apply`` deletes those that nothing uses.
"""
