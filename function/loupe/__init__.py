"""Loupe's serving core: one way from an event to a prediction.

event -> request -> source -> image -> tensor -> model -> prediction -> response.
Each arrow is one module; a module knows the next value's type and never the trigger.
"""

from __future__ import annotations

import os
import time

# Since 1.29 the published ONNX Runtime reports models, devices and errors to its maker over the network unless this is
# set before it is imported (microsoft/onnxruntime#27379). A function tells nobody whom it serves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# When this process began to load the core, in monotonic seconds: what a restart takes is told by it.
BEGUN = time.monotonic()
