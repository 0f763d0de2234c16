"""Biographies under new names: every mention of the person replaced, or the row left out.

Where new names come from (`names`), who is a person (`people`), and which biographies make
good needles (`needles`), do not belong here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.batches import Progress, get_ready, map_batches
from needle_assets.corpus.infoboxes import picked_fields
from needle_assets.corpus.mentions import MentionFinder
from needle_assets.corpus.names import GENDERS, Gender, allot, new_name
from needle_assets.corpus.old_names import OldName, is_name_field
from needle_assets.corpus.people import person_verdicts
from needle_assets.corpus.spelling import holds_word, in_other_script, plain_text
from needle_assets.corpus.tables import ANONYMIZED_SCHEMA, RAW_SCHEMA, CorpusError
from needle_assets.seeding import digest

EMPTY_TEXT = "the text is empty"
NO_NAME = "the title holds no name"
NAME_NOT_IN_TEXT = "the name is not in the text"
TRACE_OF_NAME = "a word of the name remains"
TRACE_OF_SCRIPT = "a word in another script remains"
NO_NEW_NAME = "no new name fits the text"
REASONS = (EMPTY_TEXT, NO_NAME, NAME_NOT_IN_TEXT, TRACE_OF_NAME, TRACE_OF_SCRIPT, NO_NEW_NAME)
"""Why a row is left out, in the order of the funnel."""

_WORTH_A_FIRST_POOL = 2**17
"""Rows from which the first pass, a quarter of the work, repays processes of its own."""

_MALE = frozenset({"he", "his", "him", "himself"})
_FEMALE = frozenset({"she", "her", "hers", "herself"})


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
    raw: pa.Table, *, seed: int, workers: int = 1, progress: Progress | None = None
) -> Anonymized:
    """Give every biography of a corpus a new name.

    Texts become one line with real brackets and quotes. A whole name becomes the new whole name,
    a given name alone the new given name, a surname alone the new surname. Rows in which a word
    of the old name would remain are left out.

    New names are unique over the corpus. They follow from the seed, the row's id and the gender
    of its pronouns, so they stay when rows are added, dropped or put in another order, but for
    the few rows that met a changed one on the same pair of names (see ``names.allot``).

    Args:
        raw: a table of ``RAW_SCHEMA``; no two rows with one id.
        seed: the corpus's seed.
        workers: processes; the result is the same for any number.
        progress: called with (rows done, rows to do) while names are replaced.

    Raises:
        CorpusError: the table lacks a column of ``RAW_SCHEMA``, or holds text that is no UTF-8.
        WorkerError: a worker was killed.
    """
    missing = [name for name in RAW_SCHEMA.names if name not in raw.column_names]
    if missing:
        raise CorpusError(
            f"the corpus lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(raw.column_names)}; read it with needle_assets.corpus.readers"
        )
    _check_encoding(raw)
    get_ready(_renamed, table=raw, workers=workers)
    described = map_batches(
        partial(_described, seed=seed), raw, workers=workers, worth_a_pool=_WORTH_A_FIRST_POOL
    )
    gender = described["gender"]
    names = allot(
        gender.to_numpy(),
        np.stack([described["first_digest"].to_numpy(), described["second_digest"].to_numpy()], 1),
    )
    rows = raw.select(["title", "infobox", "text"])
    for column, values in (
        ("gender", gender),
        ("pair", pa.array(names.pair)),
        ("bearer", pa.array(names.bearer)),
    ):
        rows = rows.append_column(column, values)
    outcome = map_batches(_renamed, rows, workers=workers, progress=progress)
    table = pa.table(
        {
            "bio_id": raw["bio_id"],
            "name": outcome["name"],
            "bio": outcome["bio"],
            "is_person": described["is_person"],
            "person_reason": described["person_reason"],
        },
        schema=ANONYMIZED_SCHEMA,
    ).filter(pc.equal(outcome["reason"], ""))
    funnel = {
        reason: pc.sum(pc.equal(outcome["reason"], reason)).as_py() or 0 for reason in REASONS
    }
    return Anonymized(table.combine_chunks(), funnel, raw.num_rows)


def _check_encoding(raw: pa.Table) -> None:
    """Arrow takes any bytes for a string; a lone surrogate would fail deep inside a worker."""
    for column in RAW_SCHEMA.names:
        try:
            raw[column].validate(full=True)
        except pa.ArrowInvalid as error:
            raise CorpusError(
                f"the corpus's column {column} holds text that is no UTF-8, for example a lone "
                f"surrogate{_first_undecodable(raw, column)}; mend or remove the row"
            ) from error


def _first_undecodable(raw: pa.Table, column: str) -> str:
    if column == "infobox":
        return ""
    for row, value in enumerate(raw[column].cast(pa.binary()).to_pylist()):
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return f" (row {row}, counted from 0, byte {error.start})"
    return ""


# --- first pass: what the choice of a name needs of each row ------------------------------------

_DESCRIBED = pa.schema(
    [
        pa.field("is_person", pa.bool_()),
        pa.field("person_reason", pa.string()),
        pa.field("gender", pa.int8()),
        pa.field("first_digest", pa.uint64()),
        pa.field("second_digest", pa.uint64()),
    ]
)


def _described(raw: pa.Table, *, seed: int) -> pa.Table:
    is_person, reasons = person_verdicts(raw)
    genders = [
        GENDERS.index(pronoun_gender(text) if person else "neutral")
        for text, person in zip(raw["text"].to_pylist(), is_person.to_pylist(), strict=True)
    ]
    digests = b"".join(digest(seed, "new name", bio_id) for bio_id in raw["bio_id"].to_pylist())
    numbers = np.frombuffer(digests, "<u8").reshape(-1, 2)
    return pa.table(
        [is_person, reasons, pa.array(genders, pa.int8()), *map(pa.array, numbers.T.copy())],
        schema=_DESCRIBED,
    )


def pronoun_gender(text: str) -> Gender:
    """The gender of most pronouns of a text, of the first where they are even."""
    # Spaces around each word tell "he" from "the"; counting is faster than splitting.
    times = f" {text.lower()} ".replace("\n", " ").count
    male = times(" he ") + times(" his ") + times(" him ") + times(" himself ")
    female = times(" she ") + times(" her ") + times(" hers ") + times(" herself ")
    if male == female:
        if not male:
            return "neutral"
        first = next(word for word in text.lower().split() if word in _MALE or word in _FEMALE)
        return "male" if first in _MALE else "female"
    return "male" if male > female else "female"


# --- second pass: the texts under their new names -----------------------------------------------

_RENAMED = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("bio", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class _Slot:
    """Which new name is a row's: the arguments of ``new_name``."""

    pair: int
    bearer: int
    gender: Gender


def _renamed(rows: pa.Table) -> pa.Table:
    """Names and texts, or for rows left out the reason and no text."""
    names: list[str] = []
    bios: list[str] = []
    reasons: list[str] = []
    for title, infobox, text, gender, pair, bearer in zip(
        rows["title"].to_pylist(),
        picked_fields(rows["infobox"], is_name_field),
        rows["text"].to_pylist(),
        rows["gender"].to_pylist(),
        rows["pair"].to_pylist(),
        rows["bearer"].to_pylist(),
        strict=True,
    ):
        outcome = _renamed_row(title, infobox, text, _Slot(pair, bearer, GENDERS[gender]))
        name, bio, reason = ("", "", outcome) if isinstance(outcome, str) else (*outcome, "")
        names.append(name)
        bios.append(bio)
        reasons.append(reason)
    return pa.table([names, bios, reasons], schema=_RENAMED)


def _renamed_row(
    title: str, infobox: Mapping[str, str], text: str, slot: _Slot
) -> tuple[str, str] | str:
    """The new name and the biography under it, or the reason why the row is left out."""
    line = plain_text(text)
    if not line:
        return EMPTY_TEXT
    old = OldName.of(title, infobox)
    if not old.parts:
        return NO_NAME
    finder = MentionFinder(line, old)
    mentions = finder.mentions()
    if not mentions:
        return NAME_NOT_IN_TEXT
    new = new_name(
        slot.pair,
        slot.bearer,
        slot.gender,
        lambda word: word in old.parts or word in old.required or holds_word(word, finder.text),
    )
    if new is None:
        return NO_NEW_NAME
    name = new.full
    bio = finder.rewritten(mentions, new)
    if name not in bio:
        # The only mention stood in a bracket that went with a native spelling.
        return NAME_NOT_IN_TEXT
    if old.remains_in(bio):
        return TRACE_OF_NAME
    if in_other_script(bio):
        return TRACE_OF_SCRIPT
    return name, bio
