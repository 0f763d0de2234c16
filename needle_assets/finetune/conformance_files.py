"""Conformance of models, files and keys: what costs nothing anywhere."""

from needle_assets.finetune.conformance_bench import (
    Bench,
    Check,
    SkippedCheck,
    all_ids,
    check_pages,
    expect,
    expect_refusal,
    good_file,
)

_NOBODY = "needle-no-such-thing"
"""Id of nothing."""


def _models_list(bench: Bench) -> None:
    models = bench.client.models.list().data
    expect(bool(models), "no model is listed")
    expect(
        all(isinstance(model.id, str) and model.object == "model" for model in models),
        "an entry has no id, or its object is not 'model'",
    )
    ids = [model.id for model in models]
    if bench.model:
        expect(bench.model in ids, f"{bench.model!r} is not listed")
    # Tuned models are listed too, and most servers start jobs from base models alone.
    bench.model = bench.model or next((name for name in ids if name[:3] != "ft:"), ids[0])


def _models_retrieve(bench: Bench) -> None:
    found = bench.client.models.retrieve(bench.model)
    expect(found.id == bench.model, f"asked for {bench.model!r}, got {found.id!r}")


def _models_unknown(bench: Bench) -> None:
    expect_refusal(lambda: bench.client.models.retrieve(_NOBODY), "an unknown model", [404])


def _wrong_key(bench: Bench) -> None:
    if not bench.has_key:
        raise SkippedCheck("the server is used without a key")
    expect_refusal(lambda: bench.stranger.models.list().data, "a wrong key", [401, 403])


def _files_create(bench: Bench) -> None:
    content = good_file(bench.token)
    file = bench.upload("good", content)
    expect(file.bytes == len(content), f"{len(content)} bytes were sent, {file.bytes} are told")
    expect(file.purpose == "fine-tune", f"the purpose is {file.purpose!r}, 'fine-tune' was sent")
    expect(bool(file.filename), "the file has no name")
    bench.uploaded = file.id


def _files_list(bench: Bench) -> None:
    files = bench.client.files
    expect(bench.uploaded in all_ids(files.list(), "file"), "the uploaded file is not listed")
    expect(
        bench.uploaded in all_ids(files.list(purpose="fine-tune"), "file"),
        "the uploaded file is not among those of its purpose",
    )


def _files_pages(bench: Bench) -> None:
    second = bench.upload("second", good_file(f"{bench.token} again"))
    files = bench.client.files.list(limit=1, order="desc", purpose="fine-tune")
    check_pages(files, (bench.uploaded, second.id), "file")


def _files_retrieve(bench: Bench) -> None:
    found = bench.client.files.retrieve(bench.uploaded)
    expect(found.id == bench.uploaded, f"asked for {bench.uploaded!r}, got {found.id!r}")
    expect(found.bytes == len(good_file(bench.token)), f"it tells of {found.bytes} bytes")


def _files_content(bench: Bench) -> None:
    content = bench.client.files.content(bench.uploaded).read()
    expect(content == good_file(bench.token), "what comes back is not what was sent")


def _files_unknown(bench: Bench) -> None:
    expect_refusal(lambda: bench.client.files.retrieve(f"file-{_NOBODY}"), "an unknown file", [404])


def _files_delete(bench: Bench) -> None:
    file = bench.upload("deleted", good_file(f"{bench.token} deleted"))
    deleted = bench.delete(file.id)
    expect(deleted.deleted is True, f"deleted is {deleted.deleted!r}, expected true")
    expect_refusal(lambda: bench.client.files.retrieve(file.id), "a deleted file", [404])


CHECKS = (
    Check("models: list", _models_list),
    Check("models: retrieve", _models_retrieve, needs=("models: list",)),
    Check("models: an unknown one is refused", _models_unknown),
    Check("key: a wrong one is refused", _wrong_key),
    Check("files: create", _files_create),
    Check("files: list", _files_list, needs=("files: create",)),
    Check("files: pages", _files_pages, needs=("files: list",)),
    Check("files: retrieve", _files_retrieve, needs=("files: create",)),
    Check("files: content", _files_content, needs=("files: create",)),
    Check("files: an unknown one is refused", _files_unknown),
    Check("files: delete", _files_delete, needs=("files: create",)),
)
