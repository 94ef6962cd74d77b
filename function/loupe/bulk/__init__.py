"""Bulk processing: one batch of a job's images, and objects that arrive in a bucket.

`loupe.bulk.keys` is shared with `loupe.jobs`, which imports neither the model nor an image library.
"""
