"""The C library's allocator, told to keep what a picture needs for the next one.

By default glibc maps buffers of 128 KiB and more afresh and returns them at each release, so every request
pays for the same page faults again (docs/performance.md has the figures). Lambda bills the memory setting,
not what is resident: keeping pages costs nothing. Both values stop glibc's own adaptation (mallopt(3)).
"""

from __future__ import annotations

from typing import Final

# The largest that every glibc takes. Larger buffers, those of unusually large pictures, still go back at once.
_MMAP_THRESHOLD = 32 << 20
_TRIM_THRESHOLD = 256 << 20
ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_THRESHOLD),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIM_THRESHOLD),
}
