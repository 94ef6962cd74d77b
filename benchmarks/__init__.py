"""How fast, how lean and how cheap: this project beside peers and beside the physical floor, in one run."""

from __future__ import annotations

import loupe as loupe  # before any module here imports ONNX Runtime: this turns its telemetry off
