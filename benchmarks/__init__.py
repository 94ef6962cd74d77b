"""Speed, memory, size and cost of Loupe, its peers and the minimum of work (the floor), measured in one run."""

from __future__ import annotations

import loupe as loupe  # disables ONNX Runtime telemetry, before any module imports it
