"""Whether labels agree with the nationality that the first sentence states.

A second, deliberately simple reading of the text, which shares no code with the rule labeler but
the list of demonyms, so that it can catch the labelers' mistakes.
"""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.labels import nationalities
from needle_assets.labels.tables import require_columns
from needle_assets.labels.task import LabelError

AGREES = "agrees"
CONTRADICTS = "contradicts"

_SAID = re.compile(
    r"\b(?:is|was|are|were) (?:an?|the)\s(.{1,90}?)"
    r"(?=\s(?:who|whose|which|that|of|for|from|in|at|with|by|on|as|to)\s|\s[.;(,]\s|\.?\s*$)"
)
_FIRST_SENTENCE = re.compile(r"(?:(?!\s\.(?:\s|$)|\n).){0,600}", re.DOTALL)
# Sports and churches named for a nation say nothing of their people.
_NAMES_OF_THINGS = re.compile(
    r"\b(?:american|canadian|australian rules) (?=football)|\b\w+ (?=orthodox)|\bmuay thai\b"
)
_COMPOUND = re.compile(r"[/-]")


def stated_nationalities(bio: str) -> tuple[str, ...]:
    """Nationalities whose demonym stands in "is a ..." of the first sentence, in text order."""
    sentence = _FIRST_SENTENCE.match(bio)
    said = _SAID.search(sentence.group()) if sentence else None
    if said is None:
        return ()
    tokens = _NAMES_OF_THINGS.sub("", said[1]).split()
    found = [mention.nationality for mention in nationalities.DEMONYMS.find(tokens)]
    if not found:
        parts = [
            part for token in tokens for part in _COMPOUND.split(token) if "-born" not in token
        ]
        found = [mention.nationality for mention in nationalities.DEMONYMS.find(parts)]
    return tuple(dict.fromkeys(found))


def with_agreement(labels: pa.Table, bios: pa.Table) -> pa.Table:
    """Add to a label table what its texts state, for the check of nationalities.

    ``bio`` is joined by ``bio_id``; ``stated_nationality`` holds the stated ones, parted by
    ", " (null where there is none); ``agreement`` is ``agrees`` or ``contradicts`` (null as well).

    Raises:
        LabelError: a column is missing, or a labelled biography is not in ``bios``.
    """
    require_columns(bios)
    rows = pc.index_in(labels["bio_id"], value_set=bios["bio_id"].combine_chunks())
    if rows.null_count:
        lost = labels["bio_id"].filter(pc.is_null(rows))[0].as_py()
        raise LabelError(
            f"{rows.null_count} labels have no biography (the first: {lost!r}); materialize "
            "needle_labels again"
        )
    texts = bios["bio"].take(rows)
    stated = [stated_nationalities(bio) for bio in texts.to_pylist()]
    agreement = [
        _agreement(label, found)
        for label, found in zip(labels["nationality"].to_pylist(), stated, strict=True)
    ]
    return (
        labels.append_column("bio", texts)
        .append_column(
            "stated_nationality", pa.array([", ".join(s) or None for s in stated], pa.string())
        )
        .append_column("agreement", pa.array(agreement, pa.string()))
    )


def _agreement(label: str, stated: Sequence[str]) -> str | None:
    if not stated:
        return None
    return AGREES if any(nationalities.agree(label, one) for one in stated) else CONTRADICTS
