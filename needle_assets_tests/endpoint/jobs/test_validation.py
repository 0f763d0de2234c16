"""Every bad line of a training file is named, and memory does not grow with the file."""

import json
import tracemalloc
from pathlib import Path

import pytest

from needle_assets.endpoint.config import LimitsConfig
from needle_assets.endpoint.jobs.validation import Problem, Validation, validate_lines

USER = {"role": "user", "content": "Who?"}
ANSWER = {"role": "assistant", "content": "Ada."}


def line(*messages: object, **extra: object) -> bytes:
    return json.dumps({"messages": list(messages), **extra}).encode()


def example(number: int) -> bytes:
    return line({"role": "user", "content": f"Who is number {number}?"}, ANSWER)


def validated(
    tmp_path: Path, content: bytes, *, least: int = 1, line_bytes: int = 2**20
) -> Validation:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return validate_lines(path, LimitsConfig(line_bytes=line_bytes), name="t.jsonl", least=least)


def test_a_good_file_has_its_examples_and_no_problem(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    content = b"\n".join(
        [example(1), line(system, USER, ANSWER), line(USER, ANSWER, USER, ANSWER), example(2)]
    )

    with_last_line_end = validated(tmp_path, content + b"\n")

    assert with_last_line_end == Validation("t.jsonl", examples=4)
    assert with_last_line_end == validated(tmp_path, content)
    assert with_last_line_end.message == ""


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"name,age", "is not JSON: Expecting value at character 1"),
        (b'{"messages": [', "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5_000, "a number has too many digits"),
        (b'{"messages": "\xff"}', "is not UTF-8 at byte 15"),
        (example(2) + b"\r", "ends in CR LF"),
        (b"[1, 2]", 'must be an object with a list "messages"'),
        (b'{"prompt": "a", "completion": "b"}', 'must be an object with a list "messages"'),
        (line(USER, ANSWER, tools=[]), 'holds "tools"; only "messages" can be trained on'),
        (line(), "has no assistant message"),
        (line(USER), "has no assistant message"),
        (line("hello", ANSWER), "message 1 is not an object"),
        (line({"role": "tool", "content": "x"}, ANSWER), "message 1 has no role of system"),
        (line(USER, {**ANSWER, "weight": 0}), 'message 2 holds "weight"'),
        (line(USER, {"role": "assistant", "content": None}), "message 2 (assistant) is not a str"),
        (line(USER, {"role": "assistant", "content": ""}), "message 2 (assistant) has an empty a"),
        (line(USER, {"role": "assistant", "content": "\n"}), "has an empty answer"),
        (line({"role": "user", "content": ""}, ANSWER), "message 1 (user) has an empty content"),
        (line({"role": "user", "content": "\ud83d"}, ANSWER), "half of a surrogate pair"),
        (line(ANSWER, USER), "roles out of order: assistant, user; expected system (or none)"),
        (line(USER, ANSWER, USER), "roles out of order: user, assistant, user"),
        (line(USER, {"role": "system", "content": "x"}, ANSWER), "out of order: user, system"),
        (line(USER, USER, ANSWER), "roles out of order: user, user, assistant"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes, message: str) -> None:
    found = validated(tmp_path, b"\n".join([example(1), bad, example(3)]))

    assert [problem.line for problem in found.problems] == [2]
    assert message in found.problems[0].message
    assert (found.examples, found.bad) == (2, 1)


def test_a_byte_order_mark_is_named_with_what_to_do(tmp_path: Path) -> None:
    found = validated(tmp_path, b"\xef\xbb\xbf" + example(1) + b"\n" + example(2))

    assert found.problems == [
        Problem(1, "the file starts with a byte order mark; save it as UTF-8 without one")
    ]


def test_a_utf_16_file_is_told_so(tmp_path: Path) -> None:
    found = validated(tmp_path, example(1).decode().encode("utf-16"))

    assert found.problems[0] == Problem(1, "the file is UTF-16; save it as UTF-8")


def test_a_repeated_line_is_named_with_the_one_it_repeats(tmp_path: Path) -> None:
    spaced = json.dumps(json.loads(example(1)), indent=None, separators=(" ,", " : ")).encode()
    content = b"\n".join([example(0), example(1), example(2), spaced, example(0)])

    found = validated(tmp_path, content)

    assert found.problems == [Problem(4, "repeats line 2"), Problem(5, "repeats line 1")]
    assert found.examples == 3


def test_a_line_too_long_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    ten_megabytes = line({"role": "user", "content": "x" * 10 * 2**20}, ANSWER)

    found = validated(tmp_path, b"\n".join([example(1), ten_megabytes, example(3)]))

    assert found.problems == [Problem(2, "is longer than 1048576 bytes")]
    assert found.examples == 2


def test_a_line_of_exactly_the_allowed_length_passes(tmp_path: Path) -> None:
    content = example(1) + b"\n" + example(22)

    assert validated(tmp_path, content, line_bytes=len(example(22))).bad == 0
    assert validated(tmp_path, content, line_bytes=len(example(22)) - 1).problems == [
        Problem(2, f"is longer than {len(example(22)) - 1} bytes")
    ]


def test_nine_examples_are_too_few_for_training(tmp_path: Path) -> None:
    nine = b"\n".join(example(number) for number in range(9))

    found = validated(tmp_path, nine, least=10)

    assert found.message == "t.jsonl: 9 good examples where at least 10 are needed; add more"
    assert validated(tmp_path, nine, least=1).message == ""


def test_an_empty_file_is_too_few_too(tmp_path: Path) -> None:
    assert "0 good examples" in validated(tmp_path, b"").message


def test_a_file_that_is_long_enough_is_not_called_too_short_for_its_bad_lines(
    tmp_path: Path,
) -> None:
    found = validated(
        tmp_path, b"\r\n".join(example(number) for number in range(12)) + b"\r\n", least=10
    )

    assert found.bad == 12
    assert "good examples" not in found.message


def test_twenty_bad_lines_are_named_in_order_and_the_rest_counted(tmp_path: Path) -> None:
    # Lines 2, 4, ... 60 are not JSON; lines 3, 5, ... repeat line 1.
    content = b"\n".join([example(1), *([b"?", example(1)] * 30)])

    found = validated(tmp_path, content)

    assert [problem.line for problem in found.problems] == list(range(2, 22))
    assert found.bad == 60
    assert found.message.startswith("t.jsonl: line 2: is not JSON")
    assert found.message.endswith("; and 40 more bad lines")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    bad = b"?" * 999 + b"\n"
    with path.open("wb") as file:
        file.write(bad * 16_000)
        file.write(b"x" * 64 * 2**20)

    tracemalloc.start()
    try:
        found = validate_lines(path, LimitsConfig(line_bytes=2**20), name="large")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found.bad == 16_001
    assert peak < 5 * 2**20
