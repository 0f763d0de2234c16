"""The training curve of a job: losses by step, from its events or from its result file.

Where events come from is `job_wait`'s; how a curve is drawn is the caller's.
"""

import base64
import binascii
import csv
import io
import math
from collections.abc import Iterable, Mapping

import pyarrow as pa
from pydantic import BaseModel, ConfigDict


class CurvePoint(BaseModel):
    """One step of training; what its server did not tell is None."""

    model_config = ConfigDict(frozen=True)

    step: int
    train_loss: float | None = None
    """Mean cross entropy of the step's answer tokens, in nats."""
    valid_loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None


Curve = tuple[CurvePoint, ...]
"""Ascending in step, one point a step."""

_FIGURES = tuple(name for name in CurvePoint.model_fields if name != "step")

# OpenAI measures the whole validation file now and then, and a batch of it in between.
_WHOLE = {"valid_loss": "full_valid_loss"}


def merged(curve: Curve, told: Iterable[Mapping[str, object]]) -> Curve:
    """The curve with what events tell, oldest first; a later figure replaces an earlier one.

    Events without a step, and figures that are no finite numbers, are left out: a curve never
    makes a job fail.
    """
    points = {point.step: point for point in curve}
    for data in told:
        step = _number(data.get("step"))
        if step is None or step < 0 or step != int(step):
            continue
        figures = {name: _figure(data, name) for name in _FIGURES}
        known = {name: figure for name, figure in figures.items() if figure is not None}
        if known:
            earlier = points.get(int(step), CurvePoint(step=int(step)))
            points[int(step)] = earlier.model_copy(update=known)
    return tuple(points[step] for step in sorted(points))


def curve_of_result_file(content: bytes) -> Curve:
    """The curve in a job's result file, a CSV with a column ``step``; empty where it is none.

    OpenAI has sent such files as they are and in base64: both are read.
    """
    text = content.decode("utf-8-sig", "replace")
    if "step" not in text.partition("\n")[0]:
        try:
            text = base64.b64decode(content, validate=True).decode("utf-8-sig", "replace")
        except binascii.Error:
            return ()
    try:
        return merged((), csv.DictReader(io.StringIO(text)))
    except csv.Error:
        return ()


def curve_table(curve: Curve) -> pa.Table:
    """The curve as columns: step (int64), the figures of `CurvePoint` (float64, with nulls)."""
    columns = {"step": pa.array([point.step for point in curve], pa.int64())}
    for name in _FIGURES:
        columns[name] = pa.array([getattr(point, name) for point in curve], pa.float64())
    return pa.table(columns)


def last_loss(curve: Curve, name: str) -> float | None:
    """The last ``train_loss`` or ``valid_loss`` that was told."""
    return next((value for p in reversed(curve) if (value := getattr(p, name)) is not None), None)


def _figure(data: Mapping[str, object], name: str) -> float | None:
    whole = _number(data.get(_WHOLE[name])) if name in _WHOLE else None
    return _number(data.get(name)) if whole is None else whole


def _number(value: object) -> float | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
