"""Check a deployed endpoint over HTTP: availability, correctness and rejections."""
