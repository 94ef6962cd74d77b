"""Call every kind of operation by the generated client: python generated.py URL KEY FILE."""

from __future__ import annotations

import base64
import json
import sys
from io import BytesIO
from pathlib import Path

from loupe_client import AuthenticatedClient
from loupe_client.api.default import batch, classify, health, models
from loupe_client.models import (
    BatchItemProblem,
    BatchItemResult,
    BatchRequest,
    BatchResult,
    ClassifyForm,
    ClassifyRequestBase64,
    ClassifyRequestUrl,
    ClassifyScores,
    Health,
    ImageSourceBase64,
    ImageSourceUrl,
    Models,
    Problem,
    Result,
)
from loupe_client.types import File

url, key, path = sys.argv[1:]
client = AuthenticatedClient(base_url=url.rstrip("/"), token=key, prefix="", auth_header_name="x-api-key")
data = Path(path).read_bytes()
image = base64.b64encode(data).decode()

by_json = classify.sync(client=client, body=ClassifyRequestBase64(image=image, top=1))
assert isinstance(by_json, Result), by_json
by_bytes = classify.sync(client=client, body=File(payload=BytesIO(data)), scores=ClassifyScores.ALL)
assert isinstance(by_bytes, Result), by_bytes
by_form = classify.sync(client=client, body=ClassifyForm(file=File(payload=BytesIO(data), file_name="photo.jpg")))
assert isinstance(by_form, Result), by_form
request = BatchRequest(items=[ImageSourceBase64(image=image), ImageSourceUrl(url="https://localhost/a.jpg")])
several = batch.sync(client=client, body=request)
assert isinstance(several, BatchResult), several
outcomes = []
for item in several.results:
    if isinstance(item, BatchItemResult):
        outcomes.append(item.result.label)
    elif isinstance(item, BatchItemProblem):
        outcomes.append(str(item.error.code))
described = models.sync(client=client)
assert isinstance(described, Models), described
up = health.sync(client=client)
assert isinstance(up, Health), up
wrong = classify.sync(client=client, body=ClassifyRequestUrl(url="https://localhost/a.jpg"))
assert isinstance(wrong, Problem), wrong
print(
    json.dumps(
        {
            "label": by_json.label,
            "scores": len(by_json.scores.to_dict()),
            "all": len(by_bytes.scores.to_dict()),
            "form": by_form.label,
            "outcomes": outcomes,
            "model": described.models[0].name,
            "code": str(wrong.code),
        }
    )
)
