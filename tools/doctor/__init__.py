"""Preflight check of a deployment: Docker, credentials, quotas and alarms, before anything is changed.

``make doctor ENV=prod`` runs it, and so does ``make deploy``.
"""
