"""Why a job cannot be changed, or cannot go on. How they look on the wire is in `api`."""

from typing import Literal

from needle_assets.endpoint.errors import EndpointError


class WrongStatus(EndpointError):  # noqa: N818
    """The job is in a status in which that cannot be done to it."""


class JobError(EndpointError):
    """The job cannot go on: what its ``error`` will say."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        param: Literal["training_file", "validation_file"] | None = None,
    ) -> None:
        # It may quote a file or a log, where half a surrogate pair can stand: a reason that cannot
        # be written down would leave the job where it is, and all others behind it.
        super().__init__(message.encode(errors="backslashreplace").decode())
        self.code = code
        self.param = param
