"""Return an environment to an earlier version within seconds, and pin it there until the cause is corrected.

``make rollback ENV=prod REASON="..."`` runs it.
"""
