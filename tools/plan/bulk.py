"""Time and costs of a bulk job, line by line: ``python -m tools.plan.bulk --images 1000000``."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Annotated

import typer

from infra.bulk_rates import BUCKET_KEY_SHARE, TRANSITIONS_A_BATCH, Architecture, BulkLoad
from tools import prices
from tools.plan.costs import Line

# From the request to the first image: the reader, and the cold start of the execution environments.
START_SECONDS = 15.0
# Of the parent: source, map, summary, tolerance, end, and its start.
TRANSITIONS_A_JOB = 6
# Step Functions developer guide, 'Service quotas': items and concurrent children of a Map Run.
MAX_ITEMS = 100_000_000
MAX_CHILDREN = 10_000
ACCOUNT_CONCURRENCY = 1_000
# The longest timeout of a Lambda function, and so of `bulk.timeout_seconds`.
MAX_BATCH_SECONDS = 900
# Of Standard workflows, a second: 5,000 in us-east-1, us-west-2 and eu-west-1, less in new accounts (Step Functions
# developer guide, 'Service quotas', state throttling). Above it, transitions wait.
TRANSITIONS_A_SECOND = 800
# Requests a second to one prefix of a bucket (S3 user guide, 'Best practices design patterns').
S3_GETS_A_SECOND, S3_PUTS_A_SECOND = 5_500, 3_500


@dataclass(frozen=True)
class BulkJob:
    """A job over ``images`` images.

    Attributes
    ----------
    start_seconds
        From the start of the job to its first image, and from its last image to its end.
    """

    images: int
    load: BulkLoad
    start_seconds: float = START_SECONDS

    @property
    def batches(self) -> int:
        return ceil(self.images / self.load.batch_items)

    @property
    def concurrency(self) -> int:
        """Execution environments in use: at most one for each batch."""
        return min(self.load.concurrency, self.batches)

    @property
    def seconds(self) -> float:
        """Duration: whole rounds of batches, as the last round waits for its slowest batch."""
        rounds = ceil(self.batches / self.load.concurrency)
        return self.start_seconds + rounds * min(self.load.batch_items, self.images) * self.load.seconds_per_image

    @property
    def images_per_second(self) -> float:
        """Of all environments together, once they run."""
        return self.concurrency / self.load.seconds_per_image

    @property
    def maps(self) -> int:
        """Jobs that it takes: one Map Run stops at 100 million items."""
        return ceil(self.images / MAX_ITEMS)

    def lines(self) -> tuple[Line, ...]:
        """Return every line of the bill at list prices, without free tiers."""
        load = self.load
        busy = self.images * load.seconds_per_image * prices.gb(load.memory_mib)
        keys = (self.images if load.kms_images else 0) + (self.batches * BUCKET_KEY_SHARE if load.kms else 0)
        return (
            Line(prices.STATE_TRANSITIONS, TRANSITIONS_A_JOB * self.maps + TRANSITIONS_A_BATCH * self.batches),
            Line(prices.LAMBDA_REQUESTS, self.batches + self.maps),
            Line(prices.LAMBDA_DURATION[load.architecture], busy),
            Line(prices.S3_GETS, self.images),
            Line(prices.S3_PUTS, self.batches),
            Line(prices.KMS_REQUESTS, keys),
        )

    @property
    def dollars(self) -> float:
        return sum(line.dollars for line in self.lines())

    def limits(self) -> tuple[tuple[str, float, float], ...]:
        """Return what is used of each quota: name, use and quota, the tightest first."""
        usage = (
            ("Lambda concurrency of the account (default quota)", self.concurrency + 100, ACCOUNT_CONCURRENCY),
            ("children of a Map Run at once", self.concurrency, MAX_CHILDREN),
            ("S3 GET requests a second to one prefix", self.images_per_second, S3_GETS_A_SECOND),
            (
                "S3 PUT requests a second to one prefix",
                self.images_per_second / self.load.batch_items,
                S3_PUTS_A_SECOND,
            ),
            (
                "Step Functions transitions a second (5,000 in us-east-1, us-west-2 and eu-west-1)",
                TRANSITIONS_A_BATCH * self.images_per_second / self.load.batch_items,
                TRANSITIONS_A_SECOND,
            ),
            ("items of a Map Run", self.images, MAX_ITEMS),
        )
        return tuple(sorted(usage, key=lambda limit: limit[1] / limit[2], reverse=True))


def report(job: BulkJob) -> str:
    """Return the job as Markdown: time, bill, quotas."""
    rows = [
        (
            f"{job.images:,} images in {job.batches:,} batches of {job.load.batch_items}, {job.concurrency} execution "
            f"environments of {job.load.memory_mib} MiB, {job.load.seconds_per_image * 1000:g} ms an image:"
        ),
        "",
        f"- {duration(job.seconds)}, {job.images_per_second:,.0f} images/s",
        f"- US$ {job.dollars:,.2f} ({job.dollars / job.images * 1e6:,.2f} per million images)",
        "",
        "| line | quantity | US$ |",
        "|---|---|---|",
        *(f"| {line.price.name} | {line.quantity:,.0f} | {line.dollars:,.2f} |" for line in job.lines()),
        "",
        "| quota, the tightest first | used | quota |",
        "|---|---|---|",
        *(
            f"| {name} | {used:,.0f}{' (above the quota)' if used > quota else ''} | {quota:,.0f} |"
            for name, used, quota in job.limits()
        ),
    ]
    return "\n".join(rows)


def duration(seconds: float) -> str:
    """Return a duration in a readable unit."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def main(
    images: Annotated[int, typer.Option(min=1, help="Images of the job.")],
    concurrency: Annotated[int, typer.Option(min=1, max=MAX_CHILDREN, help="bulk.max_concurrency.")] = 10,
    batch_items: Annotated[int, typer.Option(min=1, max=1000, help="bulk.batch_items.")] = 50,
    memory: Annotated[int, typer.Option(min=512, max=10_240, help="bulk.memory_mib.")] = 1769,
    seconds_per_image: Annotated[float, typer.Option(min=1e-6, help="A summary's busy_seconds / images.")] = 0.05,
    architecture: Annotated[Architecture, typer.Option(help="function.architecture.")] = "x86_64",
    kms: Annotated[bool, typer.Option(help="protection.kms_key is not aws.")] = False,
    kms_images: Annotated[bool, typer.Option(help="The images have a KMS key and no bucket key.")] = False,
) -> None:
    """Print the time, bill and quotas of a bulk job."""
    if (seconds := batch_items * seconds_per_image) > MAX_BATCH_SECONDS:
        raise typer.BadParameter(
            f"a batch takes {seconds:g} s, and bulk.timeout_seconds is at most {MAX_BATCH_SECONDS}: lower it",
            param_hint="--batch-items",
        )
    load = BulkLoad(batch_items, concurrency, memory, seconds_per_image, architecture, kms=kms, kms_images=kms_images)
    typer.echo(report(BulkJob(images, load)))


if __name__ == "__main__":
    typer.run(main)
