"""Price by memory size from measured durations, with the CPU share of each size."""

from __future__ import annotations

import base64
import json
import math
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import plots
from benchmarks.cold import Subject, all_subjects
from benchmarks.quota import MIB_FOR_A_CPU, NoQuotaError, cpu_share
from benchmarks.timing import PartResult, Row, Section
from benchmarks.workload import MEGAPIXELS, photo
from infra.settings import FunctionSettings
from localcloud.environment import ExecutionEnvironment
from tools import prices

MEMORY_MIB = (512, 1024, 1536, 1769, 2048, 3008)
GROUP = "Cost by memory size"
MILLION = 1_000_000
# SageMaker Serverless Inference is sold in whole GB from 1 to 6.
SAGEMAKER_MIB = 1024


@dataclass(frozen=True)
class Size:
    """Measurements with one memory size: milliseconds, and the peak resident set in MiB.

    Attributes
    ----------
    billed_ms
        Mean of a 1 MP request's durations, each rounded up to whole milliseconds, as Lambda bills them.
    """

    memory_mib: int
    cold_ms: float
    billed_ms: float
    median_ms: float
    p95_ms: float
    large_ms: float
    peak_mib: int

    @property
    def dollars(self) -> float:
        """Lambda's price for a million requests with a 1 MP JPEG."""
        gb_seconds = MILLION * self.billed_ms / 1e3 * prices.gb(self.memory_mib)
        duration = prices.LAMBDA_DURATION["x86_64"].cost(gb_seconds)
        return duration + prices.LAMBDA_REQUESTS.cost(MILLION)

    def sagemaker_dollars(self, payload: int) -> float:
        """SageMaker Serverless Inference's price for the same duration and its smallest size of this memory."""
        gb = math.ceil(self.memory_mib / SAGEMAKER_MIB)
        seconds = self.billed_ms / 1e3
        data = prices.SAGEMAKER_DATA.cost(MILLION * payload / 2**30)
        return prices.SAGEMAKER_SERVERLESS.cost(MILLION * seconds * gb) + data


def run(folder: Path, shipped: Path, course: Path, rounds: int) -> PartResult:
    """Measure each size for which this machine has enough cores."""
    subject = all_subjects(folder, shipped, course)["ours"]
    images = {size: photo(*pixels) for size, pixels in MEGAPIXELS.items()}
    payloads = {size: json.dumps({"image": base64.b64encode(data).decode()}).encode() for size, data in images.items()}
    cores = len(os.sched_getaffinity(0))
    try:
        sizes = [
            _measure(subject, folder, memory, payloads, rounds)
            for memory in MEMORY_MIB
            if memory / MIB_FOR_A_CPU <= cores
        ]
    except NoQuotaError as error:
        return PartResult([Row(GROUP, f"not measured: {error}", None, None, "none", "")])
    best = balanced(sizes)
    api = prices.REST_API_REQUESTS.cost(MILLION)
    setting = FunctionSettings().memory_mib
    row = Row(
        GROUP,
        f"size that balances duration and price, {best.memory_mib} MB, against the default, {setting} MB",
        best.memory_mib / setting,
        None,
        "none",
        f"US$ {best.dollars:.2f} for a million requests, API Gateway US$ {api:.2f}",
    )
    lines = _table(sizes, len(images[1]), api)
    section = Section(
        GROUP,
        lines,
        lambda target: plots.costs(
            target, [s.memory_mib for s in sizes], [s.billed_ms for s in sizes], [s.dollars for s in sizes], api
        ),
        "cost.svg",
    )
    return PartResult([row], [section])


def balanced(sizes: list[Size]) -> Size:
    """Return the size with the least sum of duration and price, each relative to the largest of all sizes.

    This is the strategy ``balanced`` with weight 0.5 of AWS Lambda Power Tuning.
    """
    slowest, most_expensive = max(size.billed_ms for size in sizes), max(size.dollars for size in sizes)
    return min(sizes, key=lambda size: size.billed_ms / slowest + size.dollars / most_expensive)


def _measure(subject: Subject, folder: Path, memory: int, payloads: dict[int, bytes], rounds: int) -> Size:
    sized = replace(subject, variables=subject.variables | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory)})
    with cpu_share(memory / MIB_FOR_A_CPU):
        environment = sized.start(folder / "rie.log")
        try:
            _, cold = _invoke(environment, payloads[1])
            # The first requests use up the quota that had accumulated.
            warm = [_invoke(environment, payloads[1])[0] for _ in range(rounds + 5)][5:]
            large = [_invoke(environment, payloads[12])[0] for _ in range(max(3, rounds // 4))]
            peak = environment.invoke(payloads[1], str(uuid.uuid4())).memory_mib
        finally:
            environment.end()
    return Size(
        memory,
        cold_ms=cold,
        billed_ms=float(np.mean(np.ceil(warm))),
        median_ms=float(np.median(warm)),
        p95_ms=float(np.percentile(warm, 95)),
        large_ms=float(np.median(large)),
        peak_mib=peak,
    )


def _invoke(environment: ExecutionEnvironment, payload: bytes) -> tuple[float, float]:
    """Return the duration and, for a first request, of INIT, in ms."""
    outcome = environment.invoke(payload, str(uuid.uuid4()))
    if outcome.function_error or b'"label"' not in outcome.payload:
        raise RuntimeError(outcome.payload[:300])
    return outcome.duration_ms, outcome.init_ms or 0.0


def _table(sizes: list[Size], payload: int, api: float) -> list[str]:
    columns = (
        "memory, MB|vCPU|INIT, ms|billed, ms|median, ms|p95, ms|12 MP, ms|peak, MiB|Lambda|+ API Gateway|SageMaker"
    )
    lines = [
        'Durations are for a 1 MP JPEG; "billed" is their mean in whole milliseconds. The CPU share, memory /',
        "1769, is set with the kernel's CPU quota and a period of 20 ms, on this machine's cores. Up to one",
        f"vCPU the function uses one thread. Prices: `tools/prices.py` ({prices.REGION}, {prices.AS_OF}), US$",
        "for a million requests, without INIT, which is charged once for each cold start. SageMaker",
        "Serverless Inference: list price of the next whole GB for the same duration, and of the data sent;",
        "its CPU share is not documented and was not measured.",
        "",
        f"| {columns.replace('|', ' | ')} |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    best = balanced(sizes)
    for size in sizes:
        mark = "**" if size is best else ""
        sagemaker = size.sagemaker_dollars(payload)
        lines.append(
            f"| {mark}{size.memory_mib}{mark} | {size.memory_mib / MIB_FOR_A_CPU:.2f} | {size.cold_ms:.0f} "
            f"| {size.billed_ms:.1f} | {size.median_ms:.1f} | {size.p95_ms:.1f} | {size.large_ms:.0f} "
            f"| {size.peak_mib} | {size.dollars:.2f} | {size.dollars + api:.2f} | {sagemaker:.2f} |"
        )
    return [
        *lines,
        "",
        f"Bold: the lowest sum of relative duration and relative price, {best.memory_mib} MB.",
    ]
