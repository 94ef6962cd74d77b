"""Files of other formats given as ONNX models, detected by their first bytes, with advice for each."""

from __future__ import annotations

import io
import zipfile

# Enough for tar's mark, which stands at byte 257.
HEAD_BYTES = 4096
_EXPORT = "export the model to ONNX (docs/bring-your-own-model.md)"
_STARTS = (
    (b"\x89HDF", f"is an HDF5 file (Keras .h5): {_EXPORT}, for example with tf2onnx"),
    (b"\x1f\x8b", "is a gzip file (.gz, .tar.gz): unpack it and give the .onnx file in it"),
    (b"BZh", "is a bzip2 file: unpack it and give the .onnx file in it"),
    (b"\xfd7zXZ\x00", "is an xz file: unpack it and give the .onnx file in it"),
    (b"\x28\xb5\x2f\xfd", "is a zstd file: unpack it and give the .onnx file in it"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it and give the .onnx file in it"),
    (b"GGUF", f"is a GGUF file (llama.cpp), which holds no ONNX graph: {_EXPORT}"),
    (b"\x89PNG\r\n\x1a\n", "is a PNG image, not a model"),
    (b"\xff\xd8\xff", "is a JPEG image, not a model"),
    (b"%PDF-", "is a PDF document, not a model"),
    (b"\x93NUMPY", f"is a NumPy array (.npy), not a model: {_EXPORT}"),
    *(
        (b"\x80" + bytes([protocol]), f"is a pickle (scikit-learn, joblib or an old PyTorch file): {_EXPORT}")
        for protocol in range(2, 6)
    ),
)
_AT_4 = {
    b"TFL3": f"is a TensorFlow Lite model: {_EXPORT}, for example with tf2onnx --tflite",
    b"ORTM": "is a model in ONNX Runtime's own format (.ort): give the .onnx file that it was made from",
}
_TEXTS = (
    ("version https://git-lfs", "is a Git LFS pointer, not the model: run 'git lfs pull'"),
    ("<", "is a web page, not a model: the download was denied or needs the file's direct address"),
    ("{", "is JSON, not a model"),
)
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def describe_other_format(head: bytes) -> str | None:
    """Describe a file in another format by its first `HEAD_BYTES` bytes, as the rest of a sentence; None if unknown."""
    binary = next((what for start, what in _STARTS if head.startswith(start)), _AT_4.get(head[4:8]))
    if binary:
        return binary
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it and give the .onnx file in it"
    # safetensors: the length of a JSON header in eight bytes, then the header.
    if head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        return f"is a safetensors file, which holds weights and no graph: {_EXPORT}"
    text = _beginning(head)
    return next((what for start, what in _TEXTS if text.startswith(start)), None)


def describe_zip(data: bytes) -> str | None:
    """Describe a zip archive by its member names, as the rest of a sentence; None for other data."""
    if not data.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return "is a zip archive that is cut off or damaged: download it again"
    except RuntimeError:
        # The archive asks for a version of the format above 6.3 (zipfile.MAX_EXTRACT_VERSION).
        return "is a zip archive of a version that cannot be read here: unpack it, and give the .onnx file in it"
    inner = {name.rpartition("/")[2] for name in names}
    if onnx := sorted(name for name in names if name.endswith(".onnx")):
        return f"is a zip archive: unpack it and give {onnx[0][:80]!r} in it"
    if "constants.pkl" in inner:
        return f"is a TorchScript model (.pt): {_EXPORT}, with torch.onnx.export"
    if "data.pkl" in inner:
        return f"is a PyTorch checkpoint (.pt, .pth): {_EXPORT}, with torch.onnx.export"
    if "model.weights.h5" in inner:
        return f"is a Keras model (.keras): {_EXPORT}, for example with tf2onnx"
    if any(name.endswith(".npy") for name in inner):
        return f"is a NumPy archive (.npz), not a model: {_EXPORT}"
    return f"is a zip archive without an .onnx file in it: {_EXPORT}"


def _beginning(head: bytes) -> str:
    """Return text without byte order mark and leading white space; undecodable bytes are replaced."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace").lstrip()
    return head.decode("latin-1").lstrip()
