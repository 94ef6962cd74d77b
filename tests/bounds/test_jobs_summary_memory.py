"""The summary of a job of a million images needs little memory."""

from __future__ import annotations

import tracemalloc

from test_jobs_summary import Job, lines, output


def test_a_million_images_are_summed_up_in_little_memory() -> None:
    values = [output(first, 50) for first in range(0, 1_000_000, 50)]
    job = Job(*(lines(values[start : start + 5000]) for start in range(0, len(values), 5000)))
    tracemalloc.start()
    answer = job.run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer["images"] == 1_000_000
    assert job.summary["complete"] is True
    assert peak < 16 * 1024 * 1024
