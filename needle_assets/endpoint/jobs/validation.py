"""The lines of an uploaded training file, checked one by one in bounded memory.

Tokens are not counted here: how long an example is only the trainer's tokenizer knows.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from needle_assets.endpoint.config import LimitsConfig

LEAST_EXAMPLES = 10
"""Of a training file, as OpenAI has it (https://platform.openai.com/docs/guides/fine-tuning)."""

_MOST_NAMED = 20
_BOM = b"\xef\xbb\xbf"
_SKIP_BYTES = 2**20


@dataclass(frozen=True)
class Problem:
    """One bad line."""

    line: int
    """Counted from 1; 0 where the file as a whole is meant."""
    message: str
    """What was expected, in words that follow "line 3: "."""


@dataclass(frozen=True)
class Validation:
    """What a file holds."""

    name: str
    examples: int
    """Good lines; a repeated one counts once."""
    problems: list[Problem] = field(default_factory=list)
    """The first of the bad lines, in order."""
    bad: int = 0
    """How many bad lines there are, named or not."""

    @property
    def message(self) -> str:
        """All that is wrong, for the job's error; empty where nothing is."""
        lines = [
            f"line {problem.line}: {problem.message}" if problem.line else problem.message
            for problem in self.problems
        ]
        if not lines:
            return ""
        more = self.bad - sum(problem.line > 0 for problem in self.problems)
        if more:
            lines.append(f"and {more} more bad lines")
        return f"{self.name}: " + "; ".join(lines)


class _LineError(Exception):
    """What is wrong with one line."""


def validate_lines(path: Path, limits: LimitsConfig, *, name: str, least: int = 1) -> Validation:
    """Check that each line is one conversation that ends in an answer, and none comes twice.

    Memory holds one line of at most ``limits.line_bytes`` and some 24 bytes for each good line,
    however large the file is.

    Args:
        path: the file.
        limits: the longest line.
        name: what the file is called in messages.
        least: examples that the file must have.

    Raises:
        OSError: the file cannot be read.
    """
    problems: list[Problem] = []
    bad = 0
    # One element for each good line: the hash of its messages, and where it stands.
    digests, numbers = array("Q"), array("Q")
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file, limits.line_bytes), start=1):
            try:
                digest = _checked(line, first=number == 1, longest=limits.line_bytes)
            except _LineError as error:
                bad += 1
                if len(problems) < _MOST_NAMED:
                    problems.append(Problem(number, str(error)))
            else:
                digests.append(digest)
                numbers.append(number)

    repeats, named = _repeats(digests, numbers, _MOST_NAMED)
    bad += repeats
    problems += [Problem(number, f"repeats line {earlier}") for number, earlier in named]
    problems = sorted(problems, key=lambda problem: problem.line)[:_MOST_NAMED]
    examples = len(digests) - repeats
    # Bad lines may be mended: a file that is long enough is not called too short as well.
    if examples < least and (not bad or examples + bad < least):
        problems.append(
            Problem(0, f"{examples} good examples where at least {least} are needed; add more")
        )
    return Validation(name, examples, problems, bad)


def _lines(file: IO[bytes], longest: int) -> Iterator[bytes | None]:
    """Lines with their ends; None for one that is longer than allowed, which is skipped."""
    # Room for CR LF, so that a line of exactly the allowed length is not too long.
    while line := file.readline(longest + 2):
        if len(line.rstrip(b"\r\n")) <= longest and (
            line.endswith(b"\n") or len(line) < longest + 2
        ):
            yield line
            continue
        while not line.endswith(b"\n") and (line := file.readline(_SKIP_BYTES)):
            pass
        yield None


def _checked(line: bytes | None, *, first: bool, longest: int) -> int:
    """The hash of a good line's messages."""
    if line is None:
        raise _LineError(f"is longer than {longest} bytes")
    if first and line.startswith(_BOM):
        raise _LineError("the file starts with a byte order mark; save it as UTF-8 without one")
    if first and line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _LineError("the file is UTF-16; save it as UTF-8")
    if not line.strip():
        raise _LineError("is empty; every line must hold one example")
    if line.endswith(b"\r\n"):
        raise _LineError("ends in CR LF; end lines with LF alone")
    try:
        document = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _LineError(f"is not UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise _LineError(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise _LineError("is not JSON that can be read: it is nested too deeply") from None
    except ValueError:
        raise _LineError("is not JSON that can be read: a number has too many digits") from None
    return _digest(_messages(document))


def _messages(document: object) -> list[tuple[str, str]]:
    """Roles and contents of one conversation that ends in an answer."""
    if not isinstance(document, dict) or not isinstance(document.get("messages"), list):
        raise _LineError('must be an object with a list "messages"')
    if unknown := sorted(document.keys() - {"messages"}):
        raise _LineError(f'holds "{_short(unknown[0])}"; only "messages" can be trained on')
    messages = [
        _message(number, value) for number, value in enumerate(document["messages"], start=1)
    ]
    if not any(role == "assistant" for role, _ in messages):
        raise _LineError("has no assistant message, so there is no answer to learn")
    _check_order([role for role, _ in messages])
    return messages


def _message(number: int, value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise _LineError(f"message {number} is not an object with role and content")
    role, content = value.get("role"), value.get("content")
    if role not in ("system", "user", "assistant"):
        raise _LineError(f"message {number} has no role of system, user or assistant")
    if unknown := sorted(value.keys() - {"role", "content"}):
        raise _LineError(
            f'message {number} holds "{_short(unknown[0])}"; only role and content are known'
        )
    if not isinstance(content, str):
        raise _LineError(f"the content of message {number} ({role}) is not a string")
    if not content.strip():
        what = "answer" if role == "assistant" else "content"
        raise _LineError(f"message {number} ({role}) has an empty {what}")
    try:
        content.encode()
    except UnicodeEncodeError:
        raise _LineError(f"message {number} ({role}) holds half of a surrogate pair") from None
    return role, content


def _check_order(roles: list[str]) -> None:
    """A system message or none, then user and assistant in turn, an answer last."""
    turns = roles[1:] if roles[0] == "system" else roles
    expected = ["user" if place % 2 == 0 else "assistant" for place in range(len(turns))]
    if turns != expected or len(turns) % 2:
        shown = ", ".join(roles[:8]) + (", ..." if len(roles) > 8 else "")
        raise _LineError(
            f"roles out of order: {shown}; expected system (or none), then user and assistant in "
            "turn, ending with assistant"
        )


def _digest(messages: list[tuple[str, str]]) -> int:
    """64 bits: one false repeat in a million files of 6 million lines each (birthday rule)."""
    text = json.dumps(messages).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _repeats(
    digests: "array[int]", numbers: "array[int]", most: int
) -> tuple[int, list[tuple[int, int]]]:
    """How many lines have the messages of an earlier one; the first of them, each with that one."""
    if not digests:
        return 0, []
    hashes = np.frombuffer(digests, dtype=np.uint64)
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    places = np.flatnonzero(np.isin(hashes, repeated)) if len(repeated) else np.empty(0, np.intp)
    _, first, group = np.unique(hashes[places], return_index=True, return_inverse=True)
    earliest = places[first][group]
    later = np.flatnonzero(places != earliest)[:most]
    pairs = zip(places[later].tolist(), earliest[later].tolist(), strict=True)
    return len(repeated), [(numbers[one], numbers[other]) for one, other in pairs]


def _short(text: object) -> str:
    return str(text)[:40]
