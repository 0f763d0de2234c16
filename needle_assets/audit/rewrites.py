"""What anonymising changed besides names: a sheet for a person to read, and a machine's hint.

Whether a changed word was a name or an ordinary word only a reader can say; the hint counts
changes that nothing explains, and is no more than a hint.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.audit.traces import folded_words, name_words
from needle_assets.pages import templates
from needle_assets.seeding import rank

SHEET_ROWS = 300

_TEMPLATES = Path(__file__).parent / "templates"

_SPELLINGS = {
    "-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "-lcb-": "{", "-rcb-": "}",
    "``": '"', "''": '"',
}  # fmt: skip
_NEVER_A_NAME_TEXT = """
    is was are were be been has had will would can could who which that he she his her him it its
    they their in at on from for with as by when where after before during until not but
"""
_NEVER_A_NAME = frozenset(_NEVER_A_NAME_TEXT.split())
"""Words that names do not hold: where one of them went, more than a name did."""

_CUE = re.compile(
    r"\b(?:born|nee|known|called|named|name|nicknamed|nickname|alias|aka|pseudonym|guerre|plume|spell(?:ed|ing)|"
    r"credited|christened|baptised|baptized|dubbed|titled|as|or)\b"
)
_CUE_REACH = 8
"""Words before a change in which a cue such as "born" or "better known as" explains it."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a text."""

    text: str
    changed: bool
    unexplained: bool = False


@dataclass(frozen=True)
class Rewrite:
    """A biography before and after."""

    bio_id: str
    title: str
    old: tuple[Piece, ...]
    new: tuple[Piece, ...]
    unexplained: tuple[str, ...]
    """Stretches of the old text that were changed though none of their words is in the title or
    the infobox's names, and no naming cue stands before them; or that hold words of grammar."""


def plain_words(text: str) -> list[str]:
    """The words of a biography with real brackets and quotes, as they are compared."""
    return [_SPELLINGS.get(word, word).replace("`", "'") for word in text.split()]


def compare_texts(
    bio_id: str, title: str, infobox: Mapping[str, str], old: str, new: str
) -> Rewrite:
    """Mark what differs between a text of the corpus and its anonymised form."""
    before, after = plain_words(old), plain_words(new)
    of_name = name_words(title, infobox)
    old_pieces: list[Piece] = []
    new_pieces: list[Piece] = []
    unexplained: list[str] = []
    # autojunk would take words that are frequent in a long text for noise.
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        removed, added = " ".join(before[i:j]), " ".join(after[k:m])
        if tag == "equal":
            old_pieces.append(Piece(removed, changed=False))
            new_pieces.append(Piece(added, changed=False))
            continue
        strange = _is_unexplained(before, i, j, of_name)
        if strange:
            unexplained.append(removed)
        if removed:
            old_pieces.append(Piece(removed, changed=True, unexplained=strange))
        if added:
            new_pieces.append(Piece(added, changed=True, unexplained=strange))
    return Rewrite(bio_id, title, tuple(old_pieces), tuple(new_pieces), tuple(unexplained))


def _is_unexplained(words: list[str], start: int, end: int, of_name: frozenset[str]) -> bool:
    # What is in another script, with its label ("thai : ..."), is a name in native spelling.
    kept = [
        word for at, word in enumerate(words[start:end], start) if words[at + 1 : at + 2] != [":"]
    ]
    changed = [word for word in folded_words(" ".join(kept)) if _is_latin(word)]
    if not _NEVER_A_NAME.isdisjoint(set(changed) - of_name):
        return True
    if not changed or not of_name.isdisjoint(changed):
        return False
    before = " ".join(folded_words(" ".join(words[max(start - _CUE_REACH, 0) : start])))
    return _CUE.search(before) is None


def _is_latin(word: str) -> bool:
    return word.isascii() or all("LATIN" in unicodedata.name(letter, "") for letter in word)


def sample_rewrites(
    raw: pa.Table, kept: pa.Table, *, seed: int, rows: int = SHEET_ROWS
) -> list[Rewrite]:
    """Compare a random sample of the kept rows, the same for the same seed, in the corpus's order.

    Args:
        raw: a table of ``RAW_SCHEMA``.
        kept: ``bio_id`` and ``bio`` of the rows that anonymising kept.
        seed: decides which rows.
        rows: how many; fewer where there are fewer.
    """
    ids = kept["bio_id"].to_pylist()
    order = sorted(range(len(ids)), key=lambda at: rank(seed, "audit sheet", ids[at]))
    chosen = pa.array(sorted(order[:rows]), pa.int64())
    return list(_compared(raw, kept.take(chosen)))


def _compared(raw: pa.Table, sample: pa.Table) -> Iterator[Rewrite]:
    new = dict(zip(sample["bio_id"].to_pylist(), sample["bio"].to_pylist(), strict=True))
    wanted = pc.is_in(raw["bio_id"], value_set=sample["bio_id"].combine_chunks())
    for row in raw.filter(wanted).to_pylist():
        yield compare_texts(
            row["bio_id"], row["title"], dict(row["infobox"]), row["text"], new[row["bio_id"]]
        )


def reading_sheet(rewrites: list[Rewrite], *, seed: int) -> str:
    """One HTML page that opens without a network: old and new texts, changes marked."""
    environment = templates(_TEMPLATES)
    return environment.get_template("sheet.html.j2").render(rewrites=rewrites, seed=seed)
