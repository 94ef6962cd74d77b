"""The logs of one environment as an operator reads them: all functions and the API's access log, merged in order.

``make logs ENV=prod REQUEST=...`` runs it.
"""
