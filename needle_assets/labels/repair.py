"""Reads answers that say one label clearly, though not in strict JSON.

Where an answer may mean two things it is not mended but refused: guessing would make labels up.
Whom to ask again is not decided here.
"""

import json
import re
from typing import Any, NamedTuple

from pydantic import BaseModel

from needle_assets.labels.task import KeyTwiceError, LabelError, Task, unique_keys

_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)

# Strings are matched to be left alone: "007" may be a name. One without an end goes to the text's,
# so that no text takes long.
_LEADING_ZEROS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|(?<![\w.])0+(?=\d)', re.DOTALL)

# What a reasoning model thinks aloud is not its answer.
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)

# Longer ones are no day, month or year, and Python refuses to read very long ones.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

_MONTHS = {
    word: number
    for number, words in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul",
            "august aug", "september sep sept", "october oct", "november nov", "december dec",
        ),
        start=1,
    )
    for word in words.split()
}  # fmt: skip


class Reading(NamedTuple):
    """A label as it was read."""

    label: BaseModel
    repaired: bool
    """Whether the text was not strict JSON of the schema, and was mended."""


def read_label(task: Task, text: str) -> Reading:
    """Read a label from a model's answer, mending it where that is safe.

    Raises:
        LabelError: the text is no label, and cannot be mended into one.
    """
    try:
        return Reading(task.parse(text), repaired=False)
    except LabelError:
        return Reading(repair(task, text), repaired=True)


def repair(task: Task, text: str) -> BaseModel:
    """The one label that a text holds.

    Mended are: thoughts before the answer, prose, a fence or a list around one object, the same
    object twice, numbers as strings, leading zeros, and a month's English name where an integer
    is called ``month``.

    Raises:
        LabelError: there is no object, half an object, two that differ, or one that is no label.
    """
    try:
        answer = _THOUGHTS.sub("", text, count=1)
        labels = {task.canonical_json(label): label for label in _labels(task, answer)}
    except RecursionError:
        raise LabelError(f"not a {task.name} label: nested too deep") from None
    if not labels:
        raise LabelError(f"not a {task.name} label: no JSON object in the answer")
    if len(labels) > 1:
        raise LabelError(f"not a {task.name} label: {len(labels)} different JSON objects")
    return labels.popitem()[1]


def _labels(task: Task, text: str) -> list[BaseModel]:
    return [
        task.parse(json.dumps(_with_types(found, task.json_schema)))
        for found in _objects(task, text)
    ]


def _objects(task: Task, text: str) -> list[dict[str, Any]]:
    """The outermost JSON objects of a text. Every opening brace must begin one."""
    # From the first brace on, since an apostrophe or a quote in prose before it is no string's.
    text = _LEADING_ZEROS.sub(
        lambda match: match[0] if match[0][0] == '"' else "", text[text.find("{") :]
    )
    objects = []
    start = text.find("{")
    while start >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except KeyTwiceError as error:
            raise LabelError(f"not a {task.name} label: {error}") from None
        except ValueError:
            raise LabelError(
                f"not a {task.name} label: the JSON object is damaged or not complete"
            ) from None
        objects.append(value)
        start = text.find("{", end)
    return objects


def _with_types(value: Any, schema: dict[str, Any], name: str = "") -> Any:
    """The value with strings turned into the integers that the schema wants, where they are."""
    if schema["type"] == "object" and isinstance(value, dict):
        properties = schema["properties"]
        return {
            key: _with_types(item, properties[key], key) if key in properties else item
            for key, item in value.items()
        }
    if schema["type"] == "integer" and isinstance(value, str):
        word = value.strip()
        if _INTEGER.fullmatch(word):
            return int(word)
        if name == "month":
            return _MONTHS.get(word.lower().removesuffix("."), value)
    return value
