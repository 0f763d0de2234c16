"""Biographies under new names: every mention of the person replaced, or the row left out.

Where new names come from (`names`), who is a person (`people`), and which biographies make
good needles (`needles`), do not belong here.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from needle_assets.corpus.mentions import (
    Biography,
    OldName,
    holds_other_script,
    is_name_field,
    plain_text,
    words_of,
)
from needle_assets.corpus.names import Gender, NamePool
from needle_assets.corpus.people import person_verdicts, picked_fields
from needle_assets.corpus.tables import ANONYMIZED_SCHEMA, RAW_SCHEMA, CorpusError

EMPTY_TEXT = "the text is empty"
NO_NAME = "the title holds no name"
NAME_NOT_IN_TEXT = "the name is not in the text"
TRACE_OF_NAME = "a word of the name remains"
TRACE_OF_SCRIPT = "a word in another script remains"
NO_NEW_NAME = "no new name fits the text"
REASONS = (EMPTY_TEXT, NO_NAME, NAME_NOT_IN_TEXT, TRACE_OF_NAME, TRACE_OF_SCRIPT, NO_NEW_NAME)
"""Why a row is left out, in the order of the funnel."""


_TOLD_EVERY = 1000


@dataclass(frozen=True)
class Anonymized:
    """What anonymising a corpus gave.

    Attributes:
        table: the rows kept, in the corpus's order, in ``ANONYMIZED_SCHEMA``.
        funnel: rows left out, by reason, in the order of ``REASONS``, zeros included.
        total: rows there were.
    """

    table: pa.Table
    funnel: Mapping[str, int]
    total: int


def anonymize(
    raw: pa.Table, *, seed: int, progress: Callable[[int, int], None] | None = None
) -> Anonymized:
    """Give every biography of a corpus a new name.

    Texts become one line with real brackets and quotes. A whole name becomes the new whole name,
    a given name alone the new given name, a surname alone the new surname. Rows in which a word
    of the old name would remain are left out.

    Args:
        raw: a table of ``RAW_SCHEMA``. A row's new name depends on its place in it.
        seed: the corpus's seed.
        progress: called with (rows done, rows to do) every thousand rows.

    Raises:
        CorpusError: the table lacks a column of ``RAW_SCHEMA``.
    """
    missing = [name for name in RAW_SCHEMA.names if name not in raw.column_names]
    if missing:
        raise CorpusError(
            f"the corpus lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(raw.column_names)}; read it with needle_assets.corpus.readers"
        )
    pool = NamePool(seed)
    is_person, reasons = person_verdicts(raw)
    kept: list[int] = []
    names: list[str] = []
    bios: list[str] = []
    removed: Counter[str] = Counter()
    rows = zip(
        raw["title"].to_pylist(),
        picked_fields(raw["infobox"], is_name_field),
        raw["text"].to_pylist(),
        is_person.to_pylist(),
        strict=True,
    )
    for row, (title, infobox, text, person) in enumerate(rows):
        if progress and row % _TOLD_EVERY == 0:
            progress(row, raw.num_rows)
        outcome = _anonymize_row(row, title, infobox, text, pool, person=person)
        if isinstance(outcome, str):
            removed[outcome] += 1
            continue
        kept.append(row)
        names.append(outcome.name)
        bios.append(outcome.bio)
    if progress:
        progress(raw.num_rows, raw.num_rows)
    picked = pa.array(kept, pa.int64())
    table = pa.table(
        {
            "bio_id": raw["bio_id"].take(picked),
            "name": pa.array(names, pa.string()),
            "bio": pa.array(bios, pa.string()),
            "is_person": is_person.take(picked),
            "person_reason": reasons.take(picked),
        },
        schema=ANONYMIZED_SCHEMA,
    )
    return Anonymized(table, {reason: removed[reason] for reason in REASONS}, raw.num_rows)


@dataclass(frozen=True, slots=True)
class _Renamed:
    name: str
    bio: str


def _anonymize_row(
    row: int, title: str, infobox: Mapping[str, str], text: str, pool: NamePool, *, person: bool
) -> _Renamed | str:
    """The biography under its new name, or the reason why it is left out."""
    line = plain_text(text)
    if not line:
        return EMPTY_TEXT
    old = OldName.of(title, infobox)
    if not old.parts:
        return NO_NAME
    biography = Biography(line, old)
    mentions = biography.mentions()
    if not mentions:
        return NAME_NOT_IN_TEXT
    gender = _gender(biography.folded) if person else "neutral"
    forbidden = {*words_of(" ".join(biography.folded)), *old.parts, *old.required}
    new = pool.draw(row, gender, forbidden)
    if new is None:
        return NO_NEW_NAME
    bio = biography.rewritten(mentions, new)
    if new.full not in bio:
        # The only mention stood in a bracket that went with a native spelling.
        return NAME_NOT_IN_TEXT
    if old.remains_in(bio):
        return TRACE_OF_NAME
    if holds_other_script(bio):
        return TRACE_OF_SCRIPT
    return _Renamed(new.full, bio)


def _gender(folded: list[str]) -> Gender:
    """The gender of most pronouns of the text, of the first where they are even."""
    male = sum(map(folded.count, ("he", "his", "him", "himself")))
    female = sum(map(folded.count, ("she", "her", "hers", "herself")))
    if male == female:
        if not male:
            return "neutral"
        first = next(word for word in folded if word in ("he", "his", "him", "she", "her", "hers"))
        return "male" if first.startswith("h") and first not in ("her", "hers") else "female"
    return "male" if male > female else "female"
