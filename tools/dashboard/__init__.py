"""The deployed dashboard as a picture, drawn from its own definition with the metrics of the local cloud.

``make dashboard-image`` runs it.
"""
