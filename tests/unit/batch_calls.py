"""Send batches to an app and read the outcome of each item."""

from __future__ import annotations

from events import Context, base64_of, body_of, json_body, rest
from images import BLUE, RED, jpeg, solid

RED_ITEM, BLUE_ITEM = ({"image": base64_of(jpeg(solid(color)))} for color in (RED, BLUE))


def send(app, items, event=rest, context=None, **query):
    answer = app.http(event(path="/v1/classify/batch", **json_body({"items": items}), query=query or None), context
                      or Context())  # fmt: skip
    assert answer["statusCode"] == 200, answer["body"]
    body = body_of(answer)
    assert set(body) == {"results", "model", "request_id"}
    assert [result["index"] for result in body["results"]] == list(range(len(items)))
    return [result.get("result", {}).get("label") or result["error"]["code"] for result in body["results"]]
