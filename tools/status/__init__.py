"""The state of one environment on one page: what serves, what is in alarm, how fast, and what waits.

``make status ENV=prod`` runs it.
"""
