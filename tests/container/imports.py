"""Run inside the function's image: answer a plain request and print where every loaded module came from, as JSON."""

import json
import sys
import types

sys.path[0] = "/var/task"
import handler  # noqa: E402

context = types.SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 15_000)
result = handler.handler(json.load(sys.stdin), context)
origins = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
json.dump({"result": result, "origins": origins}, sys.stdout)
