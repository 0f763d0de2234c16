"""An upload's multipart body, read as it arrives. Where the bytes go is the route's affair.

Starlette's own form parser would write the file to a temporary place first, and then once more.
"""

from collections.abc import Collection

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from needle_assets.endpoint.api.errors import ApiError, clipped

_FIELD_BYTES = 1024
_PARTS = 16
_FILE = "file"


class UploadForm:
    """The fields and the one file of a body of type multipart/form-data.

    Args:
        content_type: the request's header, with the boundary.
        fields: names of the fields that there may be beside the file.

    Raises:
        ApiError: 400, the body is of another type.
    """

    def __init__(self, content_type: str, fields: Collection[str]) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise ApiError(
                400, "A file is sent as multipart/form-data with a boundary.", param=_FILE
            )
        self.filename: str | None = None
        self.values: dict[str, str] = {}
        self.finished = False
        """Whether the body came to its end, not just to a halt."""
        self._fields = frozenset(fields)
        self._headers: list[tuple[bytes, bytes]] = []
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._name = ""
        self._value = b""
        self._parts = 0
        self._arrived = bytearray()
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise ApiError(400, f"The upload's boundary cannot be used: {error}.") from None

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece of the body; returns what of it belongs to the file.

        Raises:
            ApiError: 400, the body is not a form, or has a part that should not be there.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise ApiError(400, f"The upload is not a multipart form: {error}.") from None
        arrived, self._arrived = bytes(self._arrived), bytearray()
        return arrived

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _PARTS:
            raise ApiError(400, f"The upload has more than {_PARTS} parts.")
        self._headers = []
        self._header = (b"", b"")
        self._name = ""
        self._value = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _on_header_end(self) -> None:
        self._headers.append((self._header[0].lower(), self._header[1]))
        self._header = (b"", b"")

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(dict(self._headers).get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == _FILE:
            if self.filename is not None:
                raise ApiError(400, "An upload holds one file, not several.", param=_FILE)
            if b"filename" not in options:
                raise ApiError(400, "'file' must be sent with a file name.", param=_FILE)
            self.filename = options[b"filename"].decode("utf-8", "replace") or "upload"
        elif self._name not in self._fields:
            name = clipped(self._name)
            raise ApiError(
                400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == _FILE:
            self._arrived += data[start:end]
            return
        self._value += data[start:end]
        if len(self._value) > _FIELD_BYTES:
            raise ApiError(
                400, f"'{self._name}' is longer than {_FIELD_BYTES} bytes.", param=self._name
            )

    def _on_part_end(self) -> None:
        if self._name != _FILE:
            self.values[self._name] = self._value.decode("utf-8", "replace")

    def _on_end(self) -> None:
        self.finished = True
