"""How texts are spelt: one line with real marks, folded for comparing, without other scripts.

Who is named in them does not belong here.
"""

import re
import unicodedata

_SPELLINGS = (
    ("-lrb-", "("),
    ("-rrb-", ")"),
    ("-lsb-", "["),
    ("-rsb-", "]"),
    ("-lcb-", "{"),
    ("-rcb-", "}"),
    ("``", '"'),
    ("''", '"'),
    ("`", "'"),
)
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs"})
_FOLDED_LETTERS = str.maketrans(
    {
        "\u0131": "i",
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
    }
)
_COMBINING = re.compile(r"[\u0300-\u036f]+")
_STACKED_MARKS = re.compile(r"[^\w\s\x00-\x7f]{30,}")
_WORD = re.compile(r"[^\W_]+")
# Letters beyond Latin and the phonetic alphabet; one Greek letter may stand alone, as in "β-test".
_OTHER_SCRIPT = re.compile(r"[^\W\d_\u0000-\u02ff\u0370-\u03ff\u1d00-\u1eff]|[\u0370-\u03ff]{2}")
# The phonetic alphabet, but for the letter that Azerbaijani shares with it.
_PHONETIC = re.compile(r"[\u0250-\u0258\u025a-\u02af\u02c8\u02cc\u02d0]")
_EMPTY_BRACKETS = re.compile(r"\( (?:[;,:/] )*\) ?")
_LEADING_MARKS = re.compile(r"\( (?:[;,:] )+")
# What stands before it keeps the search from starting anew at each of many marks.
_TRAILING_MARKS = re.compile(r"(?<! [;,:])(?: [;,:])+ \)")
_ENDS_OF_STRETCH = frozenset({"(", ")", ";", ",", ""})
_LONGEST_LABEL = 4


def plain_text(text: str) -> str:
    """A text of wiki_bio as one line: real brackets and quotes, no unseen characters."""
    text = " ".join(text.split())
    if not text.isprintable():
        seen = (mark for mark in text if unicodedata.category(mark) not in _UNSEEN)
        text = " ".join("".join(seen).split())
    for old, new in _SPELLINGS:
        text = text.replace(old, new)
    return text


def fold(text: str) -> str:
    """Lower case without accents, word for word: "\u00c1lvarez" and "alvarez" are one name."""
    if text.isascii():
        return text.lower()
    # Marks stacked on one letter are sorted when they are taken apart, at a quadratic price.
    text = _STACKED_MARKS.sub(_without_marks, text)
    # Canonical decomposition only: the compatible one would make new spaces.
    plain = _COMBINING.sub("", unicodedata.normalize("NFD", text.lower()))
    return unicodedata.normalize("NFC", plain).translate(_FOLDED_LETTERS)


def _without_marks(stack: re.Match[str]) -> str:
    return "".join(mark for mark in stack[0] if not unicodedata.combining(mark))


def words_of(folded: str) -> list[str]:
    """Runs of letters and digits: the pieces of "egri-erbstein" count one by one."""
    return _WORD.findall(folded)


def holds_word(word: str, folded: str) -> bool:
    """Whether a word is among ``words_of(folded)``, found without making them all."""
    start = folded.find(word)
    while start >= 0:
        end = start + len(word)
        if not (folded[start - 1 : start].isalnum() or folded[end : end + 1].isalnum()):
            return True
        start = folded.find(word, end)
    return False


def in_other_script(text: str) -> bool:
    """Whether something is written neither in Latin letters nor as a lone Greek one."""
    return not text.isascii() and bool(_OTHER_SCRIPT.search(text))


def tidied(text: str) -> str:
    """A text of one line without spellings in other scripts, nor the brackets that they empty.

    Transcriptions with a label or in the phonetic alphabet go with them. Inside brackets the
    stretch between two commas or semicolons goes as a whole, unless it holds a number or "born";
    elsewhere the words alone go.
    """
    if " : " in text or (
        not text.isascii() and (_OTHER_SCRIPT.search(text) or _PHONETIC.search(text))
    ):
        text = " ".join(_without_native_spellings(text.split(" ")))
    if "( " in text:
        text = _LEADING_MARKS.sub("( ", _EMPTY_BRACKETS.sub("", text))
        if ", )" in text or "; )" in text or ": )" in text:
            text = _TRAILING_MARKS.sub(" )", text)
    return text.strip()


def _without_native_spellings(words: list[str]) -> list[str]:
    kept: list[str] = []
    stretch: list[str] = []
    depth = 0
    for word in [*words, ""]:
        if word in _ENDS_OF_STRETCH:
            kept += _without_native_words(stretch, in_brackets=depth > 0)
            stretch = []
            depth = depth + 1 if word == "(" else max(0, depth - 1) if word == ")" else depth
            kept.append(word)
        else:
            stretch.append(word)
    return kept[:-1]


def _without_native_words(stretch: list[str], *, in_brackets: bool) -> list[str]:
    native = any(map(in_other_script, stretch))
    phonetic = in_brackets and any(map(_PHONETIC.search, stretch))
    labelled = ":" in stretch[:_LONGEST_LABEL]
    if in_brackets and (native or labelled or phonetic):
        facts = any(word == "born" or word[0].isdigit() for word in stretch)
        if not facts:
            return []
    return [word for word in stretch if not in_other_script(word)] if native else stretch
