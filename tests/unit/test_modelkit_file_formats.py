"""Files of other formats given as models are named by format, without a traceback."""

from __future__ import annotations

import errno
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import pytest
from onnx_zoo import classifier, save
from typer.testing import CliRunner

from modelkit.cli import app
from modelkit.errors import ModelkitError
from modelkit.inspection import inspect_file
from modelkit.label_files import read_labels


def archive(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, b"content")
    return data.getvalue()


def later_version() -> bytes:
    """An archive whose directory asks for version 9.9 of the format."""
    data = bytearray(archive("model.onnx"))
    data[data.index(b"PK\x01\x02") + 6] = 99
    return bytes(data)


def tar(mode: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as file:  # type: ignore[call-overload]
        file.addfile(tarfile.TarInfo("model.onnx"))
    return data.getvalue()


HEADER = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
IMPOSTORS: dict[str, tuple[bytes, str]] = {
    "HTML": (b"<!DOCTYPE html><html>", "web page"),
    "HTML with leading newlines": (b"\n\r\n  <html>", "web page"),
    "HTML with a byte order mark": (b"\xef\xbb\xbf\n<!DOCTYPE html>", "web page"),
    "HTML in UTF-16": ("\ufeff<html>".encode("utf-16-le"), "web page"),
    "JSON": (b'\n{"message": "Not Found"}', "is JSON"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "safetensors": (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "safetensors file"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite model"),
    "ORT": (b"\x1c\0\0\0ORTM" + bytes(40), r"own format \(\.ort\)"),
    "pickle": (pickle.dumps({"a": 1}), "is a pickle"),
    "old pickle": (pickle.dumps({"a": 1}, protocol=2), "is a pickle"),
    "gzip": (tar("w:gz"), "is a gzip file"),
    "bzip2": (tar("w:bz2"), "is a bzip2 file"),
    "xz": (tar("w:xz"), "is an xz file"),
    "tar": (tar("w"), "is a tar archive"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(40), "is a GGUF file"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a PNG image"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(40), "is a JPEG image"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", r"HDF5 file \(Keras \.h5\)"),
    "NumPy": (b"\x93NUMPY\1\0", "is a NumPy array"),
    "zip with a model": (archive("readme.txt", "a/model.onnx"), "unpack it and give 'a/model.onnx'"),
    "TorchScript": (archive("m/data.pkl", "m/code/x.py", "m/constants.pkl"), "TorchScript model"),
    "PyTorch": (archive("m/data.pkl", "m/data/0"), "PyTorch checkpoint"),
    "Keras": (archive("config.json", "model.weights.h5"), "Keras model"),
    "zip": (archive("readme.txt"), r"without an \.onnx file"),
    "zip of a later version": (later_version(), r"unpack it, and give the \.onnx file"),
    "cut zip": (archive("model.onnx")[:40], "zip archive that is cut off"),
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_a_file_of_another_format_is_named(tmp_path: Path, name: str) -> None:
    content, sentence = IMPOSTORS[name]
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ModelkitError, match=sentence):
        inspect_file(tmp_path / "model.onnx")


def test_a_file_beyond_2_gib_or_that_is_none_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.write(b"\x08\x08")
        file.truncate(3 * 1024**3)
    with pytest.raises(ModelkitError, match="at most 2 GiB"):
        inspect_file(tmp_path / "huge.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero")):
        with pytest.raises(ModelkitError, match="is not a regular file"):
            inspect_file(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_label_file_is_read_in_the_encodings_that_people_have(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "labels.txt").write_bytes("Bär\r\nHund\r\n".encode(encoding))
    assert read_labels(tmp_path / "labels.txt") == ("Bär", "Hund")


def test_a_label_file_that_cannot_be_read_is_reported_clearly(tmp_path: Path) -> None:
    def rejected(content: bytes | None) -> str:
        path = tmp_path / "labels.txt"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        file = save(classifier(), tmp_path / "net.onnx")
        command = ["add", str(file), "--name", "m", "--models-dir", str(tmp_path / "models")]
        result = CliRunner().invoke(app, [*command, "--labels-file", str(path)])
        assert result.exit_code in (2, 3), result.output
        assert "Traceback" not in result.output
        return " ".join(result.output.split())

    assert "is not UTF-8: line 2 would be 'Bär' in Latin-1" in rejected("Hund\nBär\n".encode("latin-1"))
    assert "is not text" in rejected(b"a\0b")
    assert "larger than" in rejected(b"a" * (5 * 1024 * 1024))
    assert rejected(None)
    with pytest.raises(ModelkitError, match="is not a file"):
        read_labels(tmp_path)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_reported_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "models/m")

    monkeypatch.setattr("modelkit.adding.shutil.copyfile", fail)
    file = save(classifier(), tmp_path / "net.onnx")
    arguments = ["--labels", "a,b", "--preprocess", "unit", "--resize", "bilinear"]
    result = CliRunner().invoke(app, ["add", str(file), "--name", "m", "--models-dir", str(tmp_path / "x"), *arguments])
    assert result.exit_code == 3
    assert f"models/m: {os.strerror(number)}." in result.output
    assert "Traceback" not in result.output


def test_no_message_names_the_temporary_folder(tmp_path: Path) -> None:
    proto = classifier()
    proto.graph.node[-1].op_type = "NobodysOperator"
    file = save(proto, tmp_path / "net.onnx")
    arguments = ["--labels", "a,b", "--preprocess", "unit", "--resize", "bilinear", "--kind", "logit"]
    command = ["add", str(file), "--name", "mine", "--models-dir", str(tmp_path / "models"), *arguments]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3, result.output
    assert "NobodysOperator" in result.output
    assert ".mine." not in result.output


def test_a_file_where_the_folder_of_models_should_be_is_reported_clearly(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    file = save(classifier(), tmp_path / "net.onnx")
    arguments = ["--labels", "a,b", "--preprocess", "unit", "--resize", "bilinear"]
    result = CliRunner().invoke(
        app, ["add", str(file), "--name", "m", "--models-dir", str(tmp_path / "models"), *arguments]
    )
    assert result.exit_code in (2, 3), result.output
    assert "Traceback" not in result.output
