"""The corpus room's tables and its exception: what readers give and anonymising makes of it.

How the rows come about, and the columns that later rooms add, do not belong here.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

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


def require_columns(bios: pa.Table, *columns: str) -> None:
    """Check that a table of biographies has some columns.

    Raises:
        CorpusError: it lacks one of them.
    """
    missing = [column for column in columns if column not in bios.column_names]
    if missing:
        raise CorpusError(
            f"the biographies lack the columns {', '.join(missing)}; they have "
            f"{', '.join(bios.column_names)}; materialize anonymized_bios again"
        )


def require_rows(kept: pa.Table, total: int, funnel: Mapping[str, int], what: str) -> None:
    """Check that something is left, so that what failed is named where it failed.

    Args:
        kept: the rows left.
        total: rows there were.
        funnel: rows left out, by reason.
        what: what the rows were wanted as.

    Raises:
        CorpusError: nothing is left; the message says why, the most frequent reason first.
    """
    if kept.num_rows:
        return
    reasons = sorted(funnel.items(), key=lambda item: -item[1])
    said = ", ".join(f"{reason} ({count:,})" for reason, count in reasons if count)
    raise CorpusError(
        f"none of {total:,} biographies can be used as {what}: {said or 'there are none'}; use "
        "another corpus (NEEDLE_CORPUS)"
    )


def column_of(raw: pa.Table, column: str, bios: pa.Table) -> pa.ChunkedArray:
    """A column of the corpus for the rows of another table, by ``bio_id``.

    Raises:
        CorpusError: a biography is not in the corpus: it was made from another one.
    """
    rows = pc.index_in(bios["bio_id"], value_set=raw["bio_id"].combine_chunks())
    if rows.null_count:
        lost = bios["bio_id"].filter(pc.is_null(rows))[0].as_py()
        raise CorpusError(
            f"{rows.null_count} biographies are not in the corpus (the first: {lost!r}); "
            "materialize anonymized_bios again"
        )
    return raw[column].take(rows)
