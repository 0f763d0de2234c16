"""The corpus room's tables and its exception: what readers give and anonymising makes of it.

How the rows come about, and the columns that later rooms add, do not belong here.
"""

import pyarrow as pa

from needle_assets.errors import NeedleError


class CorpusError(NeedleError):
    """A corpus cannot be read, or holds a row that cannot be used."""


RAW_SCHEMA = pa.schema(
    [
        pa.field("bio_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("infobox", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
"""Biographies as wiki_bio has them: text is lower case and tokenised, with ``-lrb-`` and
``-rrb-`` for brackets, one sentence a line; the title is stripped."""

ANONYMIZED_SCHEMA = pa.schema(
    [
        pa.field("bio_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("bio", pa.string(), nullable=False),
        pa.field("is_person", pa.bool_(), nullable=False),
        pa.field("person_reason", pa.string(), nullable=False),
    ]
)
"""Biographies under their new names. ``person_reason`` says in a few words why ``is_person``."""
