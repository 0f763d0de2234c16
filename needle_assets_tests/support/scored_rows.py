"""Rows of ``eval_results`` with the columns that statistics read, and scores given by hand."""

from typing import Any

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("example_id", pa.string()),
        ("haystacks_version", pa.string()),
        ("kind", pa.string()),
        ("bio_id", pa.string()),
        ("context_length", pa.int32()),
        ("depth", pa.float64()),
        ("draw", pa.int32()),
        ("score", pa.float64()),
        ("exact", pa.bool_()),
        ("post_score", pa.float64()),
        ("outcome", pa.string()),
        ("a_right", pa.bool_()),
        ("b_right", pa.bool_()),
        ("prompt_tokens", pa.int64()),
        ("cached_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_s", pa.float64()),
        ("cost_usd", pa.float64()),
    ]
)


def row(score: float, **changes: Any) -> dict[str, Any]:
    """A row of the sweep."""
    values: dict[str, Any] = {
        "model": "m",
        "example_id": "q",
        "haystacks_version": "v1",
        "kind": "sweep",
        "bio_id": "b1",
        "context_length": 512,
        "depth": 0.0,
        "draw": 0,
        "score": score,
        "exact": score == 1,
        "post_score": score,
        "outcome": "valid",
        "a_right": True,
        "b_right": False,
        "prompt_tokens": 400,
        "cached_tokens": 300,
        "completion_tokens": 50,
        "latency_s": 1.0,
        "cost_usd": 0.25,
    }
    return values | changes


def results(*rows: dict[str, Any]) -> pa.Table:
    """``eval_results`` of these rows."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def beside(score: float, kind: str, **changes: Any) -> dict[str, Any]:
    """A row of the calibration."""
    return row(score, kind=kind, depth=None, draw=None, **changes)
