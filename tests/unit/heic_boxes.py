"""HEIC files of many items that share one tile's bytes: grids, and overlays of overlays (ISO/IEC 23008-12, 6.6.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

TILE = (Path(__file__).parent / "heic" / "tile.heic").read_bytes()
SIDE = 64


class Item(NamedTuple):
    """An image of the file; ``parts`` are the ids of the items that it is made of."""

    kind: bytes
    data: bytes
    width: int
    height: int
    parts: Sequence[int] = ()


def grid(rows: int, columns: int) -> bytes:
    """Return a grid of one tile after the other."""
    width, height = columns * SIDE, rows * SIDE
    items = [_tile() for _ in range(rows * columns)]
    layout = b"\0\1" + bytes([rows - 1, columns - 1]) + struct.pack(">II", width, height)
    return _file([*items, Item(b"grid", layout, width, height, range(1, len(items) + 1))])


def overlays(depth: int) -> bytes:
    """Return an overlay of two overlays of the same two overlays, and so on: 2 ** depth decoded tiles."""
    items, below = [_tile(), _tile()], (1, 2)
    for level in range(depth):
        for _ in range(1 if level == depth - 1 else 2):
            layout = bytes(10) + struct.pack(">HH", SIDE, SIDE) + bytes(8)
            items.append(Item(b"iovl", layout, SIDE, SIDE, below))
        below = (len(items) - 1, len(items))
    return _file(items)


def _tile() -> Item:
    start, end = next((start, end) for kind, start, end in _boxes(0, len(TILE)) if kind == b"mdat")
    return Item(b"hvc1", TILE[start:end], SIDE, SIDE)


def _boxes(start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start < end:
        length, kind = struct.unpack_from(">I4s", TILE, start)
        yield kind, start + 8, start + length
        start += length


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


def _full(kind: bytes, data: bytes, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]) + data)


def _file(items: Sequence[Item]) -> bytes:
    """Write a file whose primary image is the last item; equal data is there once."""
    place = TILE.index(b"hvcC") - 4
    (length,) = struct.unpack_from(">I", TILE, place)
    properties, links = [TILE[place : place + length]], b""
    offsets: dict[bytes, int] = {}
    data = information = references = b""
    for number, item in enumerate(items, start=1):
        if item.data not in offsets:
            offsets[item.data] = len(data)
            data += item.data
        size = _full(b"ispe", struct.pack(">II", item.width, item.height))
        if size not in properties:
            properties.append(size)
        linked = [properties.index(size) + 1, *([1] if item.kind == b"hvc1" else [])]
        links += struct.pack(">HB", number, len(linked)) + bytes(linked)
        information += _full(b"infe", struct.pack(">HH", number, 0) + item.kind + b"\0", 2)
        if item.parts:
            to = b"".join(struct.pack(">H", part) for part in item.parts)
            references += _box(b"dimg", struct.pack(">HH", number, len(item.parts)) + to)
    start = _box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(base: int) -> bytes:
        places = b"".join(
            struct.pack(">HHHII", number, 0, 1, base + offsets[item.data], len(item.data))
            for number, item in enumerate(items, start=1)
        )
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + _full(b"pitm", struct.pack(">H", len(items)))
            + _full(b"iinf", struct.pack(">H", len(items)) + information)
            + _full(b"iref", references)
            + _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", struct.pack(">I", len(items)) + links))
            + _full(b"iloc", b"\x44\0" + struct.pack(">H", len(items)) + places),
        )

    return start + meta(len(start) + len(meta(0)) + 8) + _box(b"mdat", data)
