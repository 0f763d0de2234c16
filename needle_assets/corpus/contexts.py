"""Whether a word of the name means the person where it stands, or is a word like any other.

Which words are the name's (`old_names`), and what replaces them, do not belong here.
"""

from collections.abc import Sequence

from needle_assets.corpus.aliases import NAME_CUES
from needle_assets.corpus.old_names import (
    HONORIFICS,
    PARTICLES,
    QUOTES,
    SUFFIXES,
    OldName,
)
from needle_assets.corpus.words import (
    FUNCTION_WORDS,
    borne_names,
    known_names,
    ordinary_words,
    word_set,
    words_after_towns,
)

_TITLES_BEFORE_SURNAMES = HONORIFICS - {"the"} | {"coach", "actor", "actress", "singer"}
_CLAUSE_STARTS = word_set(
    """
    . , ; : ( ) " ' and but that when while after before as because where until since if although
    though then which whom
    """
)
_VERBS = word_set(
    """
    is was has had 's also did does began became made won took went came left led held wrote sang
    met gave got grew ran taught fought spent set put sold kept saw said says plays lives works
    writes sings teaches serves runs holds competes represents coaches appears hosts resides stars
    drew drove rode threw swam spoke stood rose fell beat lost broke died chose knew
    never then currently later previously formerly
    """
)
_AFTER_SUBJECTS = FUNCTION_WORDS - {"of"} | {","}
_ADVERBS = FUNCTION_WORDS | word_set(
    "long early late little north south east west best well high low best christmas"
)
_NAMED_AFTER_PEOPLE = word_set(
    """
    family families brothers sisters dynasty clan house estate award prize trophy medal foundation
    collection reaction effect theorem syndrome lecture laboratory company group corporation quartet
    quintet band method
    """
)
_PREPOSITIONS = word_set("of to by for with from on about under against between than like")
_DETERMINERS = word_set(
    """
    a an the his her its their our my this these those no any each every some all both more most
    very too so not to be been being will would can could may might must shall should he she they it
    who we first second third former
    """
)
_ARTICLES = frozenset({"a", "an", "the"})
_PLACE_PREPOSITIONS = frozenset({"in", "at", "near", "outside", "into", "inside"})
_PLACE_STARTS = word_set(
    "san santa new fort port mount lake cape north south east west upper lower st. saint los las el"
)
_PLACE_HEADS = word_set(
    """
    university bishop archbishop battle siege city town village county province state district
    parish diocese borough republic kingdom island bank port bay mayor governor treaty
    """
)
_PLACE_NOUNS = word_set(
    """
    city county town village college university school river island islands lake bay beach state
    states street road avenue park airport united rovers wanderers albion athletic fc f.c. afc
    a.f.c. province district region valley bridge station square hall hospital stadium cathedral
    church castle prison academy institute creek falls hills mountains borough parish railway
    """
)

_KIN = word_set(
    """
    brother sister twin son daughter father mother husband wife uncle aunt nephew niece cousin
    grandfather grandmother grandson granddaughter brothers sisters sons daughters brother-in-law
    sister-in-law father-in-law widow widower
    """
)
_TOO_SHORT = PARTICLES | SUFFIXES
_ADDRESSES = word_set("mr mr. mrs mrs. ms ms. miss dr dr. sir dame lord lady professor prof.")
_MONTHS = word_set(
    "january february march april may june july august september october november december"
)


def is_name_here(folded: Sequence[str], i: int, old: OldName) -> bool:
    """Whether a single word of the name means the person, or a relative, where it stands.

    A word that means little else does, except after "in" and before "county". One that means
    something else does behind a first name or "mr.", and where a sentence's subject stands;
    an unknown word does unless an article or the like stands before it.
    """
    word = folded[i]
    before = folded[i - 1] if i else "."
    after = folded[i + 1] if i + 1 < len(folded) else "."
    particles = old.particles.get(word)
    if particles and tuple(folded[max(0, i - len(particles)) : i]) == particles:
        return True
    if _is_relative(folded, i):
        return True
    if word in ordinary_words() or word in _TOO_SHORT:
        return not _is_month(word, before, after) and (
            before in _ADDRESSES
            or (before in _PREPOSITIONS and after == "'s")
            or _is_given_as_name(folded, i)
            or _is_subject(word, before, after)
            # "the judge may" and "olivia will" are no names.
            or (
                word not in FUNCTION_WORDS
                and (before in _TITLES_BEFORE_SURNAMES or before in known_names())
            )
        )
    if _is_place(folded, i, old):
        return False
    if after in _NAMED_AFTER_PEOPLE:
        return True
    return before not in (_ARTICLES if word in known_names() else _DETERMINERS)


def _is_relative(folded: Sequence[str], i: int) -> bool:
    """ "her father , will x" and "his sister grace x": the first name may be a common word too."""
    if i < 2 or folded[i - 1] not in borne_names():
        return False
    return folded[i - 2] in _KIN or (folded[i - 2] == "," and i > 2 and folded[i - 3] in _KIN)


def is_phrase_here(folded: Sequence[str], i: int, words: Sequence[str]) -> bool:
    """Whether common words that are a nickname together, such as "the king", are it here."""
    if not ordinary_words().issuperset(words):
        return True
    before = folded[i - 1] if i else "."
    after = folded[i + len(words)] if i + len(words) < len(folded) else "."
    return (
        (before in QUOTES and after in QUOTES)
        or _is_given_as_name(folded, i)
        or _is_subject(words[0], before, after)
    )


def _is_month(word: str, before: str, after: str) -> bool:
    """ "3 may", "3rd may" and "may 1950"; but "in 1950 may sang"."""
    day = before[0].isdigit() and not (len(before) == 4 and before.isdigit())
    return word in _MONTHS and (day or after[0].isdigit())


def _is_place(folded: Sequence[str], i: int, old: OldName) -> bool:
    """Whether a word that may be a name stands where a place does: "in x", "x , ohio"."""
    before = folded[i - 1] if i else "."
    after = folded[i + 1] if i + 1 < len(folded) else "."
    if before in _PLACE_PREPOSITIONS or after in _PLACE_NOUNS:
        return True
    if before == "of":
        return i > 1 and folded[i - 2] in _PLACE_HEADS
    if before in _PLACE_STARTS:
        return before not in old.titles and before not in old.particles.get(folded[i], ())
    return after == "," and i + 2 < len(folded) and folded[i + 2] in words_after_towns()


def _is_given_as_name(folded: Sequence[str], i: int) -> bool:
    """Whether the words before say that a name comes: "known as", "nicknamed"."""
    before = [word for word in folded[max(0, i - 3) : i] if word not in QUOTES]
    if before[-1:] == ["as"]:
        before.pop()
    return bool(before) and before[-1] in NAME_CUES


def _is_subject(word: str, before: str, after: str) -> bool:
    """Whether a common word stands where only a name does: as a subject without an article."""
    if after in _VERBS or (after.endswith("ed") and len(after) > 3):
        return before in _CLAUSE_STARTS or before.isdigit()
    return before == "." and word not in _ADVERBS and after in _AFTER_SUBJECTS
