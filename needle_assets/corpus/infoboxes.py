"""Infoboxes as Arrow holds them: the fields that are wanted, without the others.

What the fields mean does not belong here.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa


def picked_fields(
    infoboxes: pa.ChunkedArray, wanted: Callable[[str], bool]
) -> list[dict[str, str]]:
    """The wanted fields of each infobox, without making Python objects of the others.

    Args:
        infoboxes: a column of map<string, string>.
        wanted: asked once for each distinct key.

    Returns:
        One dictionary a row, in the infobox's order; the first of equal keys counts.
    """
    boxes: list[dict[str, str]] = [{} for _ in range(len(infoboxes))]
    row = 0
    for chunk in infoboxes.chunks:
        offsets = np.asarray(chunk.offsets)
        keys = chunk.keys.slice(offsets[0], offsets[-1] - offsets[0]).dictionary_encode()
        good = np.array([wanted(key) for key in keys.dictionary.to_pylist()], dtype=bool)
        fields = np.flatnonzero(good[np.asarray(keys.indices)]) if len(keys) else np.array([], int)
        rows = np.repeat(np.arange(len(chunk)), np.diff(offsets))[fields] + row
        values = chunk.items.take(pa.array(fields + offsets[0]))
        names = keys.take(pa.array(fields))
        for index, key, value in zip(
            rows.tolist(), names.to_pylist(), values.to_pylist(), strict=True
        ):
            boxes[index].setdefault(key, value or "")
        row += len(chunk)
    return boxes
