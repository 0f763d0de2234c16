"""Infoboxes: the wanted fields, row by row, whatever the layout of the column."""

import pyarrow as pa

from needle_assets.corpus.infoboxes import picked_fields


def test_only_wanted_fields_are_read() -> None:
    kind = pa.map_(pa.string(), pa.string())
    one = pa.array([[("a", "1"), ("b", "2"), ("a", "3")], None, []], kind)
    two = pa.array([[("b", "4")], [("a", None)]], kind)
    column = pa.chunked_array([one, two, two.slice(1), pa.array([], kind)])
    fields = picked_fields(column, lambda key: key == "a")
    assert fields == [{"a": "1"}, {}, {}, {}, {"a": ""}, {"a": ""}]
