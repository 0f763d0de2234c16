"""/v1/files: upload, list, retrieve, content, delete."""

import errno
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from needle_assets.endpoint.api.dependencies import FilesDep, ServicesDep
from needle_assets.endpoint.api.errors import ApiError, clipped
from needle_assets.endpoint.api.paging import Identified, Page, page
from needle_assets.endpoint.api.storage import TRAINING, FileStore
from needle_assets.endpoint.api.upload import UploadForm
from needle_assets.endpoint.records import FileRecord

router = APIRouter(prefix="/v1/files")

_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FIELDS = ("purpose", _ANCHOR, _SECONDS)
_SHORTEST_S, _LONGEST_S = 3600, 2_592_000
"""OpenAI's bounds of expires_after: one hour and 30 days."""


class FileObject(Identified):
    """A file on the wire."""

    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None


class FileDeleted(BaseModel):
    """The answer to a deletion."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


@router.post("")
async def create_file(request: Request, services: ServicesDep, files: FilesDep) -> FileObject:
    """Take an upload: its bytes go to disk as they arrive, and stay only if all of them do."""
    limits = services.config.limits
    if await run_in_threadpool(files.is_full, limits.files):
        raise ApiError(
            400,
            f"There are {limits.files} files already, the most that this endpoint keeps; delete "
            "some.",
            code="file_limit_reached",
        )
    form = UploadForm(request.headers.get("content-type", ""), _FIELDS)
    size = 0
    try:
        with services.blobs.writer() as writer:
            async for chunk in request.stream():
                if not (data := form.feed(chunk)):
                    continue
                size += len(data)
                if size > limits.file_bytes:
                    raise ApiError(
                        413,
                        f"The file is larger than {limits.file_bytes} bytes, the most that this "
                        "endpoint takes.",
                        code="request_too_large",
                        param="file",
                    )
                await run_in_threadpool(writer.write, data)
            filename = _whole(form, size)
            _check_purpose(form)
            record = await run_in_threadpool(
                files.keep,
                writer,
                filename=filename,
                purpose=TRAINING,
                expires_after_s=_expires_after(form),
            )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ApiError(507, "The endpoint's disk is full.", code="insufficient_storage") from None
    return _wire(record)


@router.get("")
def list_files(
    files: FilesDep,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
) -> Page:
    """All files, by time of creation."""
    return page(
        lambda count: files.files(purpose=purpose, after=after, limit=count, order=order),
        _wire,
        limit=limit,
        after=after,
    )


@router.get("/{file_id}")
def retrieve_file(file_id: str, files: FilesDep) -> FileObject:
    """One file."""
    return _wire(_found(files, file_id))


@router.get("/{file_id}/content")
def file_content(file_id: str, files: FilesDep) -> FileResponse:
    """Its bytes."""
    record = _found(files, file_id)
    path = files.path(record)
    try:
        size = path.stat()
    except FileNotFoundError:
        # Deleted since the line above.
        raise _unknown(file_id) from None
    return FileResponse(
        path, media_type="application/octet-stream", filename=record.filename, stat_result=size
    )


@router.delete("/{file_id}")
def delete_file(file_id: str, files: FilesDep) -> FileDeleted:
    """Delete a file. A job that uses it goes on: the bytes stay until it has ended."""
    if not files.delete(file_id):
        raise _unknown(file_id)
    return FileDeleted(id=file_id)


def _whole(form: UploadForm, size: int) -> str:
    """The name of the file, if all of it arrived."""
    if not form.finished:
        raise ApiError(400, "The upload breaks off before its last boundary; send it again.")
    if form.filename is None:
        raise ApiError(
            400,
            "Missing required parameter: 'file'.",
            code="missing_required_parameter",
            param="file",
        )
    if not size:
        raise ApiError(400, "The file is empty.", code="empty_file", param="file")
    return form.filename


def _check_purpose(form: UploadForm) -> None:
    purpose = form.values.get("purpose")
    if purpose is None:
        raise ApiError(
            400,
            "Missing required parameter: 'purpose'.",
            code="missing_required_parameter",
            param="purpose",
        )
    if purpose != TRAINING:
        raise ApiError(
            400,
            f"'{clipped(purpose)}' is no purpose of this endpoint; files are for '{TRAINING}'.",
            code="invalid_purpose",
            param="purpose",
        )


def _expires_after(form: UploadForm) -> int | None:
    anchor, seconds = form.values.get(_ANCHOR), form.values.get(_SECONDS)
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise ApiError(
            400,
            "expires_after needs the anchor 'created_at'.",
            code="invalid_value",
            param="expires_after.anchor",
        )
    if (
        seconds is None
        or not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10)
        or not _SHORTEST_S <= int(seconds) <= _LONGEST_S
    ):
        raise ApiError(
            400,
            f"expires_after needs seconds from {_SHORTEST_S} to {_LONGEST_S}.",
            code="invalid_value",
            param="expires_after.seconds",
        )
    return int(seconds)


def _found(files: FileStore, file_id: str) -> FileRecord:
    record = files.file(file_id)
    if record is None:
        raise _unknown(file_id)
    return record


def _unknown(file_id: str) -> ApiError:
    return ApiError(
        404, f"No such File object: {clipped(file_id)}", code="file_not_found", param="id"
    )


def _wire(record: FileRecord) -> FileObject:
    return FileObject(
        id=record.id,
        bytes=record.bytes,
        created_at=record.created_at,
        expires_at=record.expires_at,
        filename=record.filename,
        purpose=record.purpose,
    )
