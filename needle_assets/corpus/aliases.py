"""Names that a text itself gives its person: "born x", "better known as y".

Where they stand elsewhere in the text (`mentions`) does not belong here.
"""

from collections.abc import Container, Sequence, Set
from functools import cache

from needle_assets.corpus.old_names import (
    FAMILY,
    GIVEN,
    HONORIFICS,
    INITIAL,
    PARTICLES,
    QUOTES,
    SUFFIXES,
    OldName,
)
from needle_assets.corpus.spelling import in_other_script
from needle_assets.corpus.words import (
    EVER,
    FUNCTION_WORDS,
    borne_names,
    first_names,
    known_names,
    ordinary_words,
    word_set,
    words_after_towns,
)

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
        aliases anglicised anglicized baptised baptized billed called christened credited
        formerly name named latinised latinized names nicknames nom noms originally
        pseudonym pseudonyms romanised romanized spelled spelt styled stylised stylized
        transliterated
        """
    )
)
_LEAD_CUES = NAME_CUES | {"or", "also", ":", "until"}
_CREDITS = frozenset({"billed", "credited", "nicknamed"})
_LATE_CUES = _BORN_CUES | _CREDITS | {"known", "referred", "nickname", "dubbed", "name"}
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
    pseudonym stage pen ring craft full real first former married maiden middle birth given under
    to , :
    """
)
_KINDS_OF_NAME = word_set("real birth full first given maiden original legal courtesy temple")
_HOW_KNOWN = (
    HOW_COMMONLY
    | _KINDS_OF_NAME
    | word_set("is was has had been are were became be also and 's stage pen ring")
)
_KINDS_OF_PSEUDONYM = frozenset({"stage", "pen", "ring", "screen", "professional"})
_PSEUDONYMS = frozenset({"pseudonym", "alias", "moniker"})
_PSEUDONYMS_AND_NAME = _PSEUDONYMS | {"name"}
_BETWEEN_ALIASES = frozenset({"and", "or", ",", "/"})
_AFTER_NAMES = frozenset({"in", "on", "at", ",", ";", "(", ")", "."})
_NO_NAMES = NAME_CUES | FUNCTION_WORDS | SUFFIXES
_BEHIND_ALIAS = frozenset({",", ";", ")"})
_LIFE_MARKS = frozenset({"born", "b.", "c.", "ca.", "circa", "died", "d.", "fl."})
_AFTER_KNOWN = (["as"], ["by"], ["to"])
_PRONOUNS = frozenset({"he", "she", "his", "her"})
_LONGEST_ALIAS = 8
_LONGEST_NICKNAME = 4
_MOST_FILLERS = 12
_LONGEST_BRACKET = 9
_SHORTEST_IN_BRACKETS = 5
_FURTHEST_AS = 5
_FURTHEST_PSEUDONYM = 6
_FURTHEST_BEARER = 15
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
    if start + 1 < end and folded[start] == "(" and folded[start + 1] not in _NO_NAMES:
        _learn_bracket(folded, start, end, old)
    for i in range(start, end):
        if folded[i] not in _LEAD_CUES:
            continue
        if folded[i] == "until":
            _learn_former(folded, i, end, old)
        elif _opens_alias(folded, i, start, old):
            _learn_alias(folded, i, end, old, least=1)
    if not _PSEUDONYMS_AND_NAME.isdisjoint(folded[end : end + _FURTHEST_PSEUDONYM]):
        _learn_bearer(folded, end, old)
    if not _LATE_CUES.isdisjoint(folded[end:]):
        for i in range(end, len(folded)):
            if folded[i] not in _LATE_CUES:
                continue
            if _is_said_of_person(folded, i, old):
                least = 1 if folded[i] == "name" and folded[i - 1] in _KINDS_OF_NAME else 2
                _learn_alias(folded, i, len(folded), old, least=least)
            elif folded[i] in _CREDITS:
                _learn_credit(folded, i, old)


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
        after = folded[i + 1] if i + 1 < len(folded) else ""
        return folded[i - 1] == "(" or (folded[i - 1] in _BEHIND_ALIAS and after in old.parts)
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
    maiden = folded[cue] in _MAIDEN_CUES
    while i < end and folded[i] in HONORIFICS and not (maiden and _is_maiden_name(folded, i)):
        i += 1
    alias, stop = _alias_at(folded, i, end, old, sure=maiden or not born)
    if maiden and not alias and _is_maiden_name(folded, i):
        alias, stop = [folded[i]], i + 1
    if len(alias) < least or not alias:
        return
    if alias[0] not in old.parts and not maiden:
        if alias[0] in PARTICLES:
            # "born san diego" names a place.
            return
        if len(alias) == 1 and born and not quote:
            # "born paris , 1901" names a place; "born x on 1 may" and "born x ;" a person.
            follower = folded[stop] if stop < len(folded) else ""
            if follower not in ("on", "in", ";", ")"):
                return
    old.add_parts(alias, family_from=0 if maiden and len(alias) == 1 else None)
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


def _alias_at(
    folded: Sequence[str], start: int, end: int, old: OldName, *, sure: bool = False
) -> tuple[list[str], int]:
    """The words from a place on that can be a name, and where they and their quotes end.

    ``sure``: what stands there is no place; then a first name that is a common word may open it.
    """
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
            or (
                word in ordinary
                and not _goes_on(folded, i, parts, sure=sure and not alias)
                and not (alias and _closes_name(folded, i))
            )
        ):
            break
        alias.append(word)
        stop = i + 1
    while alias and alias[-1] in PARTICLES:
        alias.pop()
    return alias, stop


def _closes_name(folded: Sequence[str], i: int) -> bool:
    """Whether a common word is the surname behind a first name: "born marie cook in ghent"."""
    word = folded[i]
    after = folded[i + 1] if i + 1 < len(folded) else "."
    if word in FUNCTION_WORDS or after not in _AFTER_NAMES:
        return False
    # Behind an unknown word it might be a country: "born toulouse , france )".
    return folded[i - 1] in known_names() or (
        after in _BEHIND_ALIAS and word in borne_names() and word not in words_after_towns()
    )


def _goes_on(folded: Sequence[str], i: int, parts: Container[str], *, sure: bool) -> bool:
    """Whether a common word is a name since one follows: "née violet quell", "ada king quell"."""
    word = folded[i]
    if word in FUNCTION_WORDS or word not in _first_names() or i + 1 >= len(folded):
        return False
    after = folded[i + 1]
    return after in parts or after in known_names() or (sure and _is_unknown(after))


@cache
def _first_names() -> frozenset[str]:
    men, women = first_names(EVER)
    return men | women


def _is_unknown(word: str) -> bool:
    """Whether a word is letters that mean nothing, and so may be a name that nobody has listed."""
    return (
        len(word) > 2
        and word.replace("-", "").isalpha()
        and word not in ordinary_words()
        and word not in NAME_CUES
        and not in_other_script(word)
    )


def _is_maiden_name(folded: Sequence[str], i: int) -> bool:
    """Whether a common word behind "née" stands alone: "née king , born 1950"."""
    after = folded[i + 1] if i + 1 < len(folded) else ""
    return i < len(folded) and folded[i] not in FUNCTION_WORDS and after in _BEHIND_ALIAS


def _learn_bracket(folded: Sequence[str], start: int, end: int, old: OldName) -> None:
    """Learn a bracket behind the name that holds nothing but names.

    "j. quell ( john vell quell )", "nora quell ( beatrix ada vell ; born 1950 )",
    "nora quell ( tarrow ) ( 1950 -- 2000 )"; but neither "( ghent )" nor "( mp )".
    """
    i = start + 1
    if folded[i][0].isdigit():
        return
    words: list[str] = []
    in_initials = GIVEN not in old.parts.values()
    while i < min(end, start + 1 + _LONGEST_BRACKET) and folded[i] not in (")", ";"):
        word = folded[i]
        if word in _NO_NAMES or not (
            word in QUOTES
            or word in old.parts
            or (words and (word in PARTICLES or INITIAL.fullmatch(word)))
            or _is_unknown(word)
            or (in_initials and word[0] in old.initials)
            or word in borne_names()
        ):
            return
        words += [] if word in QUOTES else [word]
        i += 1
    if i + 1 >= len(folded) or folded[i] not in (")", ";"):
        return
    after = folded[i + 1]
    telling = [word for word in words if word in old.parts or _is_unknown(word)]
    if not telling or len(telling) * 2 < len(words):
        return
    spelt_out = in_initials and old.initials.issubset(word[0] for word in words)
    if (
        spelt_out
        or not old.parts.keys().isdisjoint(words)
        or (folded[i] == ";" and len(words) > 1 and (after[0].isdigit() or after in _LIFE_MARKS))
        or (folded[i] == ")" and len(words) > 2)
        or (folded[i] == ")" and after == "(" and len(telling[0]) >= _SHORTEST_IN_BRACKETS)
    ):
        given_alone = spelt_out and old.parts.keys().isdisjoint(words)
        old.add_parts(words, family_from=len(words) if given_alone else None)


def _learn_former(folded: Sequence[str], i: int, end: int, old: OldName) -> None:
    """Learn "x" of ", until 1936 x ," and of "( x until 1936 ;"."""
    if not (i + 1 < len(folded) and len(folded[i + 1]) == 4 and folded[i + 1].isdigit()):
        return
    alias, stop = _alias_at(folded, i + 2, end, old)
    if not alias or folded[stop : stop + 1] not in ([","], [";"], [")"], ["("]):
        first = i
        while first > 0 and i - first < _LONGEST_NICKNAME and _is_unknown(folded[first - 1]):
            first -= 1
        alias = list(folded[first:i]) if folded[first - 1] in ("(", ",") else []
    if alias:
        old.add_parts(alias, family_from=0 if len(alias) == 1 else None)


def _learn_credit(folded: Sequence[str], cue: int, old: OldName) -> None:
    """Learn the other first name of somebody credited under the surname: "billed as x quell"."""
    i = _past_fillers(folded, cue + 1, len(folded), _CUE_FILLERS, old)
    alias, _ = _alias_at(folded, i, len(folded), old, sure=True)
    if len(alias) > 1 and old.parts.get(alias[-1], 0) & FAMILY:
        old.add_parts(alias)


def _learn_bearer(folded: Sequence[str], verb: int, old: OldName) -> None:
    """Learn who bears a pseudonym: "x is the stage name of the singer nora vell ( born 1950 )"."""
    for i in range(verb + 1, min(verb + _FURTHEST_PSEUDONYM, len(folded) - 1)):
        pseudonym = folded[i] in _PSEUDONYMS or (
            folded[i] == "name" and folded[i - 1] in _KINDS_OF_PSEUDONYM
        )
        if not pseudonym or folded[i + 1] not in ("of", "for"):
            continue
        stop = first = i + 2
        while stop < min(len(folded), first + _FURTHEST_BEARER) and (
            folded[stop].replace("-", "").isalpha() or INITIAL.fullmatch(folded[stop])
        ):
            stop += 1
        first = stop
        while first > i + 2 and _is_unknown(folded[first - 1]):
            first -= 1
        bearer = folded[first:stop]
        if 1 < len(bearer) <= _LONGEST_NICKNAME and not known_names().isdisjoint(bearer):
            old.add_parts(bearer)
        return


def _learn_nickname(folded: Sequence[str], i: int, end: int, old: OldName) -> None:
    """Learn some words in quotes, whatever they mean: ``nicknamed " the perfect storm "``."""
    quote, *words = folded[i : min(end, i + 2 + _LONGEST_NICKNAME)]
    nickname = words[: words.index(quote)] if quote in words else []
    if nickname and "of" not in nickname:
        old.add_phrase((quote, *nickname, quote), GIVEN)
