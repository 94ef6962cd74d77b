"""The CDK app: settings -> stacks -> components."""

import os
import sys
from pathlib import Path

# jsii takes the first node on the path, which may be too old; the virtual environment brings the right one.
_NODE = Path(sys.executable).with_name("node")
if _NODE.exists():
    os.environ.setdefault("JSII_NODE", str(_NODE))
