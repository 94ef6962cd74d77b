"""Command line for models: inspect, add, fetch, verify, quantize, evaluate, gate, compare (``python -m modelkit``).

Everything that serving does, this package does through ``loupe``, the serving core itself: what is verified
here is what serves there.
"""

from __future__ import annotations

import loupe as loupe  # before any module here imports ONNX Runtime: this turns its telemetry off
