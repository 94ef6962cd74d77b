"""Draw architecture.svg: `python docs/images/architecture.py`. The image's source; no dependency but Python."""

from __future__ import annotations

from html import escape
from pathlib import Path

WIDTH, HEIGHT = 1080, 540
TITLE = "A client calls API Gateway, which calls the Lambda function; infra, modelkit, models, localcloud below"
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

# name: (x, y, width, height, title, lines, class)
BOXES = {
    "client": (24, 196, 150, 84, "Client", ["curl, app, browser"], "plain"),
    "api": (
        226,
        176,
        200,
        124,
        "API Gateway (REST)",
        ["API key, usage plan", "TLS, access log", "problem+json answers"],
        "aws",
    ),
    "function": (486, 100, 330, 266, "Lambda, alias live", ["container image from ECR"], "aws"),
    "alarms": (878, 176, 178, 124, "CloudWatch", ["logs, EMF metrics", "alarms -> SNS"], "aws"),
    "models": (486, 420, 184, 92, "models/<name>/", ["card.json, model.onnx", "golden images"], "repo"),
    "kit": (244, 420, 170, 92, "modelkit", ["inspect, add, verify", "quantize, gate"], "repo"),
    "cdk": (24, 420, 184, 92, "infra/ (AWS CDK)", ["cdk.json -> settings", "-> InferenceStack"], "repo"),
    "local": (
        716,
        420,
        340,
        92,
        "localcloud",
        ["the same CDK app on MiniStack, the function", "in the real Lambda runtime emulator"],
        "repo",
    ),
}
STAGES = ["request", "source", "image", "tensor", "model", "prediction", "response"]
ARROWS = [
    ((174, 238), (226, 238), "HTTPS"),
    ((426, 238), (486, 238), "event"),
    ((816, 238), (878, 238), "stdout"),
    ((578, 420), (578, 366), "in the image"),
    ((190, 420), (238, 300), ""),
    ((414, 466), (486, 466), "adds"),
    ((780, 420), (780, 366), "stands in for"),
]
STYLE = f"""
text {{ font-family: {FONT}; fill: #1b2430; }}
.title {{ font-weight: 600; font-size: 16px; }}
.line {{ font-size: 13px; fill: #4a5868; }}
.label {{ font-size: 12px; fill: #4a5868; }}
.plain {{ fill: #ffffff; stroke: #8895a7; }}
.aws {{ fill: #fff4e2; stroke: #c27c0e; }}
.repo {{ fill: #e6f2fb; stroke: #2d77b3; }}
.stage {{ fill: #ffffff; stroke: #c27c0e; }}
.arrow {{ stroke: #4a5868; stroke-width: 1.6; fill: none; marker-end: url(#head); }}
"""


ARROW_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z" fill="#4a5868"/></marker></defs>'
)


def box(x: int, y: int, width: int, height: int, title: str, lines: list[str], kind: str) -> list[str]:
    parts = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8" stroke-width="1.6"/>']
    parts.append(f'<text class="title" x="{x + 14}" y="{y + 27}">{escape(title)}</text>')
    parts += [
        f'<text class="line" x="{x + 14}" y="{y + 50 + 20 * index}">{escape(line)}</text>'
        for index, line in enumerate(lines)
    ]
    return parts


def stages(x: int, y: int) -> list[str]:
    parts = []
    for index, name in enumerate(STAGES):
        left, top = x + 104 * (index % 3), y + 62 * (index // 3)
        parts.append(f'<rect class="stage" x="{left}" y="{top}" width="92" height="36" rx="18"/>')
        parts.append(f'<text class="line" x="{left + 46}" y="{top + 23}" text-anchor="middle">{name}</text>')
        if index % 3 < 2 and index < len(STAGES) - 1:
            parts.append(f'<path class="arrow" d="M{left + 92} {top + 18} h10"/>')
    return parts


def arrow(start: tuple[int, int], end: tuple[int, int], label: str) -> list[str]:
    middle = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
    vertical = start[0] == end[0]
    x, y = (middle[0] + 8, middle[1] + 4) if vertical else (middle[0], middle[1] - 8)
    place = f'x="{x}" y="{y}"' + ("" if vertical else ' text-anchor="middle"')
    return [
        f'<path class="arrow" d="M{start[0]} {start[1]} L{end[0]} {end[1]}"/>',
        f'<text class="label" {place}>{escape(label)}</text>',
    ]


def draw() -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 60 {WIDTH} {HEIGHT - 60}" role="img" aria-labelledby="t">',
        f'<title id="t">{TITLE}</title>',
        f"<style>{STYLE}</style>",
        ARROW_HEAD,
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fbfcfd"/>',
        '<text class="label" x="226" y="84">AWS, or the local cloud on one machine</text>',
        '<text class="label" x="24" y="406">This repository</text>',
        '<text class="label" x="226" y="366">cdk deploy</text>',
    ]
    for values in BOXES.values():
        parts += box(*values)
    parts += stages(502, 172)
    for start, end, label in ARROWS:
        parts += arrow(start, end, label)
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
