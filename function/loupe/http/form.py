"""Parse multipart/form-data (RFC 7578): one file and a few fields. Imported by requests that send it."""

from __future__ import annotations

from typing import NamedTuple

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from loupe.errors import RequestInvalid
from loupe.formats import media_type_of
from loupe.json_body import shown

MAX_PARTS = 16
MAX_FIELD_BYTES = 64


class Form(NamedTuple):
    """``file`` is the content of the file; ``fields`` are the values of the other parts by name."""

    file: bytes
    fields: dict[str, str]


def read_form(content_type: str, body: bytes) -> Form:
    """Parse a form with exactly one file.

    Parameters
    ----------
    content_type
        The whole header, with its ``boundary``.

    Raises
    ------
    loupe.errors.RequestInvalid
        If the form is broken or cut off, or has not exactly one file.
    """
    boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary")
    if not boundary:
        raise RequestInvalid("The Content-Type multipart/form-data has no boundary. Let your client set the header.")
    files: list[bytes] = []
    fields: dict[str, str] = {}
    ended: list[bool] = []

    def on_file(file: File) -> None:
        _count(len(files) + len(fields))
        file.file_object.seek(0)
        files.append(file.file_object.read())

    def on_field(field: Field) -> None:
        _count(len(files) + len(fields))
        name, value = (field.field_name or b"").decode("utf-8", "replace"), field.value or b""
        kind = (field.content_type or "").lower()
        # A file without a file name.
        if kind.startswith(("image/", "application/octet-stream")) or media_type_of(value):
            files.append(value)
            return
        if name in fields:
            raise RequestInvalid(f"The form has the field {shown(name)} more than once.")
        fields[name] = value[: MAX_FIELD_BYTES + 1].decode("utf-8", "replace")

    # The body is in memory already and within the gateway's limit, so nothing is written to disk.
    config = {"MAX_MEMORY_FILE_SIZE": float("inf"), "MAX_BODY_SIZE": float("inf"), "UPLOAD_ERROR_ON_BAD_CTE": True}
    try:
        parser = FormParser(
            "multipart/form-data", on_field, on_file, lambda: ended.append(True), boundary=boundary, config=config
        )
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise RequestInvalid(
            "The multipart form is broken. Check that its parts match the header's boundary."
        ) from None
    if not ended:
        raise RequestInvalid("The multipart form is cut off: its closing boundary is missing.")
    if not files and any(name != "top" for name in fields):
        raise RequestInvalid(
            "Send exactly one file; this form has none, only text fields. With curl, write -F file=@photo.jpg."
        )
    if len(files) != 1:
        raise RequestInvalid(f"Send exactly one file; this form has {len(files) or 'none'}.")
    return Form(files[0], fields)


def _count(parts: int) -> None:
    if parts >= MAX_PARTS:
        raise RequestInvalid(f"The form has more than {MAX_PARTS} parts. Send one file.")
