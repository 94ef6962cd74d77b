"""Environment variables that make glibc's allocator keep memory between requests.

By default glibc maps buffers of 128 KiB and more anew and unmaps them when they are freed, so every request causes the
same page faults again (docs/performance.md has the figures). Lambda bills the memory setting, not resident memory:
keeping pages costs nothing. Both values also stop glibc's dynamic adjustment (mallopt(3)).
"""

from __future__ import annotations

from typing import Final

# The maximum of every glibc. Larger buffers, of unusually large images, are still unmapped at once.
_MMAP_THRESHOLD = 32 << 20
_TRIM_THRESHOLD = 256 << 20
ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_THRESHOLD),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIM_THRESHOLD),
}
