"""Classify image files: LOUPE_URL=https://.../live/ LOUPE_API_KEY=... python classify.py photo.jpg ..."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("LOUPE_URL", "").rstrip("/")


def classify(path: Path) -> dict:
    headers = {"x-api-key": os.environ.get("LOUPE_API_KEY", "")}
    request = urllib.request.Request(f"{URL}/v1/classify", path.read_bytes(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{path}: {problem['code']}: {problem['detail']}")
    except OSError as error:  # no connection, no name, no answer in time
        sys.exit(f"{URL}: {error}")


if not URL.startswith(("https://", "http://")) or not sys.argv[1:]:
    sys.exit(__doc__)
for name in sys.argv[1:]:
    result = classify(Path(name))
    print(f"{name}: {result['label']} {result['probability']:.3f}")
