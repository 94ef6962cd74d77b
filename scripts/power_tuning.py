"""Write docs/power-tuning.json, the input of AWS Lambda Power Tuning's state machine.

With ``--image`` it carries your own photo, which is what you want to tune for; see docs/performance.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Step Functions takes an input of at most 256 KiB ("Service quotas" in its developer guide).
MAX_INPUT = 256 * 1024
MEMORY_MIB = [512, 1024, 1536, 1769, 2048, 3008]


def main() -> int:
    """Write the file; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the input for AWS Lambda Power Tuning.")
    parser.add_argument(
        "--function",
        default="arn:aws:lambda:us-east-1:111122223333:function:loupe-prod",
        help="the function's ARN: 'make deploy' prints it as FunctionAlias",
    )
    parser.add_argument("--image", type=Path, default=ROOT / "models" / "hair-type" / "golden" / "curly-1.jpg")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "power-tuning.json")
    arguments = parser.parse_args()
    try:
        image = arguments.image.read_bytes()
    except OSError as error:
        parser.error(f"{arguments.image} cannot be read: {error.strerror}")
    text = json.dumps(tuning_input(arguments.function, image), indent=2) + "\n"
    if len(text) > MAX_INPUT:
        parser.error(
            f"The input has {len(text):,} bytes and Step Functions takes {MAX_INPUT:,}. Use an image of at most "
            "180 kB, or put the payload into S3 and name it in 'payloadS3'."
        )
    arguments.output.write_text(text, encoding="utf-8")
    return 0


def tuning_input(function: str, image: bytes) -> dict[str, object]:
    """Return the state machine's input, as its README-INPUT-OUTPUT.md describes it.

    One request after the other: in parallel they would meet the reserved concurrency.
    """
    return {
        # The tool makes its own versions and aliases of the function.
        "lambdaARN": function.removesuffix(":live"),
        "powerValues": MEMORY_MIB,
        "num": 50,
        "payload": {"image": base64.b64encode(image).decode()},
        "parallelInvocation": False,
        "strategy": "balanced",
        "balancedWeight": 0.5,
        "disablePayloadLogs": True,
        "includeOutputResults": True,
    }


if __name__ == "__main__":
    sys.exit(main())
