"""The serving core of Loupe: from an event to a prediction.

event -> request -> source -> image -> tensor -> model -> prediction -> response.
Each arrow is one module; a module knows the type of the next value and never the trigger.
"""

from __future__ import annotations

import os
import time

# ONNX Runtime telemetry is disabled. Since 1.29 the published builds report models, devices and errors over the network
# unless this is set before the import (microsoft/onnxruntime#27379).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Monotonic seconds at which the import of the core began: the duration of a restart is derived from it.
IMPORT_STARTED = time.monotonic()
