"""Files that nobody can train on: the job fails and its error names every bad line.

The real runner works here; lines are validated before any trainer is started.
"""

import json
from collections.abc import Iterator

import pytest
from openai.types.fine_tuning.fine_tuning_job import Error

from needle_assets.endpoint.jobs.runner import Runner
from needle_assets_tests.endpoint.api.world import Endpoint, conversations, endpoint, wait_for

GOOD = conversations(12).splitlines()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("home"), make_runner=Runner) as running:
        yield running


def line(*turns: tuple[str, str]) -> bytes:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages}).encode()


def with_lines(**lines: bytes) -> bytes:
    """The good file with some lines exchanged: ``_3`` is the third."""
    exchanged = list(GOOD)
    for number, content in lines.items():
        exchanged[int(number[1:]) - 1] = content
    return b"\n".join(exchanged) + b"\n"


def failure(served: Endpoint, **files: str) -> Error:
    """The error that a job with these files ends with."""
    jobs = served.client().fine_tuning.jobs
    job = jobs.create(model="tiny", **files)  # type: ignore[arg-type]
    wait_for(lambda: jobs.retrieve(job.id).status == "failed")
    error = jobs.retrieve(job.id).error
    assert error is not None
    return error


TEN_MEGABYTES = line(("user", "x" * 10 * 2**20), ("assistant", "y"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\xef\xbb\xbf" + b"\n".join(GOOD), ["line 1: the file starts with a byte order mark"]),
        (b"\r\n".join(GOOD) + b"\r\n", [f"line {n}: ends in CR LF" for n in range(1, 13)]),
        (with_lines(_4=b"", _9=b""), ["line 4: is empty", "line 9: is empty"]),
        (b"name,nationality\nada,british\n", ["line 1: is not JSON", "line 2: is not JSON"]),
        (with_lines(_6=TEN_MEGABYTES), ["line 6: is longer than 8388608 bytes"]),
        (
            with_lines(_2=line(("assistant", "A"), ("user", "Q"))),
            ["line 2: roles out of order: assistant, user"],
        ),
        (with_lines(_5=line(("user", "Q"))), ["line 5: has no assistant message"]),
        (
            with_lines(_7=line(("user", "Q"), ("assistant", ""))),
            ["line 7: message 2 (assistant) has an empty answer"],
        ),
        (with_lines(_11=GOOD[2]), ["line 11: repeats line 3"]),
    ],
    ids=[
        "byte-order-mark", "crlf", "empty-lines", "not-jsonl", "ten-megabytes", "roles",
        "no-assistant", "empty-answer", "duplicate",
    ],
)  # fmt: skip
@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_the_jobs_error_names_every_bad_line(
    served: Endpoint, content: bytes, named: list[str], param: str
) -> None:
    bad = served.upload(content)

    error = failure(served, **{"training_file": served.upload(conversations(10)), param: bad})

    assert (error.code, error.param) == (f"invalid_{param}", param)
    assert error.message.startswith(f"{bad}: {named[0]}")
    assert all(text in error.message for text in named)


def test_nine_examples_are_too_few_to_train_on(served: Endpoint) -> None:
    nine = served.upload(conversations(9))

    error = failure(served, training_file=nine)

    assert error.param == "training_file"
    assert error.message == f"{nine}: 9 good examples where at least 10 are needed; add more"
