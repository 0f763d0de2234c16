"""Names that a text itself gives its person: "born x", "better known as y".

Where they stand elsewhere in the text (`mentions`) does not belong here.
"""

from collections.abc import Sequence, Set

from needle_assets.corpus.old_names import (
    GIVEN,
    HONORIFICS,
    INITIAL,
    PARTICLES,
    QUOTES,
    OldName,
)
from needle_assets.corpus.spelling import in_other_script
from needle_assets.corpus.words import FUNCTION_WORDS, known_names, ordinary_words, word_set

_COPULAS = frozenset({"is", "was", "are", "were"})
_MAIDEN_CUES = frozenset({"ne", "nee"})
_BORN_CUES = _MAIDEN_CUES | {"born", "b."}
_NICKNAME_CUES = word_set(
    "nicknamed nickname nicknames known referred dubbed alias aka a.k.a. a/k/a"
)
NAME_CUES = (
    _BORN_CUES
    | _NICKNAME_CUES
    | word_set(
        """
        aliases baptised baptized billed called christened credited formerly name named
        names nicknames nom noms originally pseudonym pseudonyms romanised romanized spelled
        spelt styled stylised stylized transliterated
        """
    )
)
_LEAD_CUES = NAME_CUES | {"or", "also", ":"}
_LATE_CUES = _BORN_CUES | {"known", "referred", "nicknamed", "nickname", "dubbed", "name"}
_ENDINGS_OF_ADVERBS = ("ally", "ously", "arly", "ively", "ently", "ingly", "edly", "ably")
HOW_COMMONLY = word_set(
    """
    affectionately alternatively better commonly formally formerly generally informally later
    mostly officially often originally popularly previously professionally simply sometimes
    usually variously widely
    """
)
_AFTER_BORN = frozenset({"as", ",", ":"})
_CUE_FILLERS = HOW_COMMONLY | word_set(
    """
    as just also best by his her their in or is was de guerre plume name mononym nickname
    pseudonym stage pen ring craft full real first under to , :
    """
)
_HOW_KNOWN = HOW_COMMONLY | word_set(
    """
    is was has had been are were became be also and 's real birth full stage pen ring given maiden
    original legal
    """
)
_BETWEEN_ALIASES = frozenset({"and", "or", ",", "/"})
_AFTER_NAMES = frozenset({"in", "on", "at", ",", ";", ")", "."})
_AFTER_KNOWN = (["as"], ["by"], ["to"])
_PRONOUNS = frozenset({"he", "she", "his", "her"})
_LONGEST_ALIAS = 5
_LONGEST_NICKNAME = 4
_MOST_FILLERS = 12
_FURTHEST_AS = 5
_FURTHEST_MAIN_VERB = 120
_FURTHEST_PRONOUN = 5


def learn_aliases(folded: Sequence[str], start: int, old: OldName) -> None:
    """Let ``old`` learn the names that a text gives.

    Before the text says what the person is, all of them are the person's; behind that those said
    of "he", "she" or somebody of that name.

    Args:
        folded: the words of the text.
        start: where the name that the text opens with ends, or 0.
        old: learns.
    """
    end = _main_verb(folded, start)
    for i in range(start, end):
        if folded[i] in _LEAD_CUES and _opens_alias(folded, i, start, old):
            _learn_alias(folded, i, end, old, least=1)
    if not _LATE_CUES.isdisjoint(folded[end:]):
        for i in range(end, len(folded)):
            if folded[i] in _LATE_CUES and _is_said_of_person(folded, i, old):
                _learn_alias(folded, i, len(folded), old, least=2)


def _main_verb(folded: Sequence[str], start: int) -> int:
    """Where the first sentence says what the person is; its end where it does not."""
    depth = 0
    last = min(len(folded), start + _FURTHEST_MAIN_VERB)
    for i in range(start, last):
        word = folded[i]
        if word == "(":
            depth += 1
        elif word == ")":
            depth = max(0, depth - 1)
        elif depth == 0 and (word == "." or (word in _COPULAS and folded[i - 1] not in NAME_CUES)):
            return i
    return last


def _opens_alias(folded: Sequence[str], i: int, start: int, old: OldName) -> bool:
    word = folded[i]
    if word == "or":
        # "x or y", "x ( ... ) , or simply y", "x or x y".
        after = folded[i + 1] if i + 1 < len(folded) else ""
        return i <= start + 1 or after in ("simply", "just") or after in old.parts
    if word == "also":
        return folded[i - 1] == "("
    if word == ":":
        # A label of one word: "( pinyin : liu xiang )".
        return i >= 2 and (folded[i - 2] in QUOTES or folded[i - 2] in ("(", ",", ";"))
    return True


def _is_said_of_person(folded: Sequence[str], i: int, old: OldName) -> bool:
    """Whether "known", "born" or "name" at a place is said of "he", "she" or the old name."""
    if folded[i] in _BORN_CUES and folded[i - 1] == ".":
        return True
    if folded[i] in ("known", "referred", "dubbed") and folded[i + 1 : i + 2] not in _AFTER_KNOWN:
        return False
    for word in reversed(folded[max(0, i - _FURTHEST_PRONOUN) : i]):
        if word in _PRONOUNS or word in old.parts:
            return True
        if word not in _HOW_KNOWN:
            return False
    return False


def _learn_alias(folded: Sequence[str], cue: int, end: int, old: OldName, *, least: int) -> None:
    """Learn the names behind a cue, the first if it has at least so many words."""
    born = folded[cue] in _BORN_CUES
    first = cue + 1
    if folded[cue] == "known" and "as" in folded[first : first + _FURTHEST_AS]:
        # "known in the west as x".
        first = folded.index("as", first)
    i = _past_fillers(folded, first, end, _AFTER_BORN if born else _CUE_FILLERS, old)
    quote = folded[i] if i < end and folded[i] in QUOTES else ""
    if quote:
        if folded[cue] in _NICKNAME_CUES:
            _learn_nickname(folded, i, end, old)
        i += 1
        least = 1
    while i < end and folded[i] in HONORIFICS:
        i += 1
    alias, stop = _alias_at(folded, i, end, old)
    if len(alias) < least or not alias:
        return
    if alias[0] not in old.parts:
        if alias[0] in PARTICLES:
            # "born san diego" names a place.
            return
        if len(alias) == 1 and born and not quote:
            # "born paris , 1901" names a place; "born x on 1 may" and "born x ;" a person.
            follower = folded[stop] if stop < len(folded) else ""
            if follower not in ("on", "in", ";", ")"):
                return
    maiden = folded[cue] in _MAIDEN_CUES and len(alias) == 1
    old.add_parts(alias, family_from=0 if maiden else None)
    # `` " vera " and " lojka " ``.
    while quote and alias and stop + 1 < end and folded[stop] in _BETWEEN_ALIASES:
        if folded[stop + 1] != quote:
            return
        alias, stop = _alias_at(folded, stop + 2, end, old)
        old.add_parts(alias)


def _past_fillers(folded: Sequence[str], i: int, end: int, fillers: Set[str], old: OldName) -> int:
    end = min(end, i + _MOST_FILLERS)
    while i < end and folded[i] not in old.parts:
        if folded[i] not in fillers and not folded[i].endswith(_ENDINGS_OF_ADVERBS):
            break
        i += 1
    return i


def _alias_at(folded: Sequence[str], start: int, end: int, old: OldName) -> tuple[list[str], int]:
    """The words from a place on that can be a name, and where they and their quotes end."""
    parts, ordinary = old.parts, ordinary_words()
    alias: list[str] = []
    stop = start
    for i in range(start, min(end, start + _LONGEST_ALIAS)):
        word = folded[i]
        if word in QUOTES and alias:
            stop = i + 1
            continue
        inside = word in parts or (alias and word in PARTICLES)
        initial = word not in ("a", "i") and INITIAL.fullmatch(word)
        if not (inside or initial) and (
            not word.replace("-", "").isalpha()
            or in_other_script(word)
            or word in NAME_CUES
            or (word in ordinary and not (alias and _closes_name(folded, i)))
        ):
            break
        alias.append(word)
        stop = i + 1
    while alias and alias[-1] in PARTICLES:
        alias.pop()
    return alias, stop


def _closes_name(folded: Sequence[str], i: int) -> bool:
    """Whether a common word is the surname behind a first name: "born marie cook in ghent"."""
    after = folded[i + 1] if i + 1 < len(folded) else "."
    return (
        folded[i] not in FUNCTION_WORDS and folded[i - 1] in known_names() and after in _AFTER_NAMES
    )


def _learn_nickname(folded: Sequence[str], i: int, end: int, old: OldName) -> None:
    """Learn some words in quotes, whatever they mean: ``nicknamed " the perfect storm "``."""
    quote, *words = folded[i : min(end, i + 2 + _LONGEST_NICKNAME)]
    nickname = words[: words.index(quote)] if quote in words else []
    if nickname and "of" not in nickname:
        old.add_phrase((quote, *nickname, quote), GIVEN)
