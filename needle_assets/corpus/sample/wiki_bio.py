"""wiki_bio's own nested schema, for example files and tests.

Reading it does not belong here: see `needle_assets.corpus.readers`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def to_wiki_bio(table: pa.Table) -> pa.Table:
    """A table of ``RAW_SCHEMA`` in the schema of wiki_bio's Parquet files.

    Returns:
        ``input_text`` (``table`` of the lists ``column_header``, ``row_number``, ``content``;
        ``context``, which is the title) and ``target_text``, both with a closing newline.
    """
    plain = table.combine_chunks()
    infobox = plain["infobox"].combine_chunks()
    ones = pa.array(np.ones(len(infobox.keys), np.int16))
    lists = pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(infobox.offsets, part)
            for part in (infobox.keys, ones, infobox.items)
        ],
        ["column_header", "row_number", "content"],
    )
    context, target = (
        pc.binary_join_element_wise(plain[column].combine_chunks(), "", "\n")
        for column in ("title", "text")
    )
    return pa.table(
        {
            "input_text": pa.StructArray.from_arrays([lists, context], ["table", "context"]),
            "target_text": target,
        }
    )
