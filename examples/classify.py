"""Classify image files: LOUPE_URL=https://.../live/ LOUPE_API_KEY=... python classify.py photo.jpg ..."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ["LOUPE_URL"].rstrip("/") + "/v1/classify"


def classify(path: Path) -> dict:
    request = urllib.request.Request(URL, path.read_bytes(), {"x-api-key": os.environ.get("LOUPE_API_KEY", "")})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        sys.exit(f"{path}: {problem['code']}: {problem['detail']}")


for name in sys.argv[1:]:
    result = classify(Path(name))
    print(f"{name}: {result['label']} {result['probability']:.3f}")
