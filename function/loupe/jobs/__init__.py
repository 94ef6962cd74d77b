"""Bulk jobs: the HTTP routes that start, show, list, stop and redrive them, and the summary of one that has ended.

Nothing here imports the model, ONNX Runtime, Pillow or numpy.
"""
