"""Checks of a new version of the function: before it gets traffic, while it gets some, after it has all.

They run in separate functions, which load no model and reach the version through Lambda's Invoke API.
"""
