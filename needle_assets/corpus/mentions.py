"""Where in a text its person is named, and the text with those mentions replaced.

How the name is read from title and infobox (`old_names`), what the new name is, and which rows a
table keeps, do not belong here.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from needle_assets.corpus.aliases import HOW_COMMONLY, NAME_CUES, learn_aliases
from needle_assets.corpus.contexts import is_name_here, is_phrase_here
from needle_assets.corpus.names import NewName
from needle_assets.corpus.old_names import (
    FAMILY,
    FULL,
    GIVEN,
    HONORIFICS,
    INITIAL,
    PARTICLES,
    QUOTES,
    SUFFIXES,
    OldName,
)
from needle_assets.corpus.spelling import fold, tidied
from needle_assets.corpus.words import FUNCTION_WORDS, borne_names, ordinary_words, word_set

_NUMERALS = word_set("ii iii iv vi vii viii ix xi xii xiii")
_WITHIN_LEADS = QUOTES | PARTICLES | SUFFIXES
_ENDS_OF_LEADS = {"'s"} | FUNCTION_WORDS | HONORIFICS | HOW_COMMONLY | (NAME_CUES - {"b."})
_AFTER_PAST_TENSE = word_set("the a an as at for in on from to with by his her their")
_AFTER_PRESENT_TENSE = frozenset({"a", "an", "the", "his", "her"})
_SIBILANTS = ("ches", "shes", "sses", "xes", "zes")
_LONGEST_LEAD = 20
_LONGEST_GAP = 3
_FEW = 64
_NO_INITIALS = word_set("a.m. p.m. u.s. u.k. u.n. d.c. l.a. b.c. a.d. b.a. m.a.")
_ARABIC_ARTICLES = word_set("al- ar- as- at- ad- an- az- ash- el- ul-")
_JOINTS = re.compile(r"([-\u2010-\u2014'\u2019/.\u00b7])")
_SPOKEN = re.compile(r"[^\W_]")


class Mention(NamedTuple):
    """Words ``start`` to ``end`` (not included) of a text, and what part of a name they are.

    ``before`` and ``after`` are what is left of a compound: "egri-" in "egri-erbstein".
    """

    start: int
    end: int
    part: int
    before: str = ""
    after: str = ""


def _is_one(first: Mention, second: Mention) -> bool:
    """Whether nothing but the space stands between two neighbours: no quote, no other half."""
    return not (first.after or second.before)


def _joined(first: Mention, second: Mention) -> Mention:
    """Two mentions side by side are one name: "nora quell" and "vell" of "nora quell vell"."""
    part = first.part | second.part
    return Mention(first.start, second.end, part, first.before, second.after)


class MentionFinder:
    """A text as words, and where in it the old name stands."""

    def __init__(self, text: str, old: OldName) -> None:
        """Take a text as ``plain_text`` gives it; ``old`` learns from it what else is a name."""
        self.words = text.split(" ")
        self.text = fold(text)
        # Folding keeps words apart: it makes and removes no spaces. Most texts are folded already.
        self.folded = self.words if self.text == text else self.text.split(" ")
        self.old = old

    def mentions(self) -> list[Mention]:
        """Where the name stands, in the order of the text; nothing where it does not.

        One of them is the whole name: the text's first where the text never has it whole.
        """
        lead = self._lead()
        position = lead.end if lead else 0
        learn_aliases(self.folded, position, self.old)
        found: list[Mention] = [lead] if lead else []
        for i in self._places():
            if i < position:
                continue
            mention = self._mention_at(i, position)
            if mention:
                if found and found[-1].end == mention.start and _is_one(found[-1], mention):
                    mention = _joined(found.pop(), mention)
                found.append(mention)
                position = mention.end
        if found and all(mention.part != FULL for mention in found):
            found[0] = found[0]._replace(part=FULL)
        return found

    def rewritten(self, mentions: Iterable[Mention], new: NewName) -> str:
        """The text with the mentions replaced and native spellings taken out."""
        spoken = {FULL: new.full, GIVEN: new.given, FAMILY: new.family}
        pieces: list[str] = []
        position = 0
        for start, end, part, before, after in mentions:
            pieces += self.words[position:start]
            pieces.append(f"{before}{spoken[part]}{after}")
            position = end
        pieces += self.words[position:]
        return tidied(" ".join(pieces))

    def _places(self) -> list[int]:
        """Where a mention may start: at a word of the name, or at one that it is joined to."""
        folded, text, names = self.folded, self.text, self.old.parts.keys() | self.old.phrases
        places = [i for i, word in enumerate(folded) if word in names]
        if len(names) <= _FEW:
            # Joined names are rare: where each is in the text as often as it stands alone, none is.
            alone = sum(len(folded[i]) > 2 for i in places)
            if sum(text.count(name) for name in names if len(name) > 2) <= alone:
                return places
        return [
            i
            for i, word in enumerate(folded)
            if word in names or (len(word) > 4 and not word.isalnum())
        ]

    # --- the name that the text opens with ---------------------------------------------------

    def _lead(self) -> Mention | None:
        """The name that the text opens with, middle names and all, rank and honours left out.

        It ends before the first bracket, comma or ordinary word. Its words that title and
        infobox do not have are learnt.
        """
        folded, parts, ordinary = self.folded, self.old.parts, ordinary_words()
        start: int | None = None
        end = 0
        seen = doubtful = False
        for i, word in enumerate(folded[:_LONGEST_LEAD]):
            if word in parts:
                seen, doubtful = True, False
            elif word in QUOTES or (start is not None and word in _WITHIN_LEADS):
                continue
            elif start is not None and self._ends_lead(i):
                break
            elif seen and folded[i - 1] in PARTICLES and self._is_behind_particle(i):
                pass
            elif word in HONORIFICS or word in ordinary:
                if start is not None and not seen and word not in borne_names():
                    # "seattle rapper nora quell" opens with no name.
                    start = None
                # "edward grey cooke": the name's if the name goes on behind it.
                doubtful = start is not None
                continue
            elif doubtful or not _SPOKEN.search(word) or word[0].isdigit():
                break
            start = i if start is None else start
            end = i + 1
        if start is None or not seen:
            return None
        end = self._past_inverted(start, end)
        if end < len(folded) and folded[end] in QUOTES:
            end += sum(word in QUOTES for word in folded[start:end]) % 2
        self._learn_lead(start, end)
        while start > 0 and (folded[start - 1] in self.old.titles or folded[start - 1] in QUOTES):
            start -= 1
        return Mention(start, self._past_tail(end), FULL)

    def _is_behind_particle(self, i: int) -> bool:
        """Whether a word closes a surname such as "de los santos", whatever else it means."""
        after = self.folded[i + 1] if i + 1 < len(self.folded) else ""
        return self.folded[i].isalpha() and after in ("(", ",", "is", "was")

    def _past_inverted(self, start: int, end: int) -> int:
        """The end of a name that opens the text the wrong way round: "quell , nora ( born"."""
        folded, parts = self.folded, self.old.parts
        stop = end + 1
        while stop < len(folded) and parts.get(folded[stop]) == GIVEN:
            stop += 1
        inverted = (
            folded[end : end + 1] == [","]
            and all(parts.get(word) == FAMILY for word in folded[start:end])
            and end + 1 < stop < len(folded)
            and folded[stop] in ("(", ",", "is", "was")
        )
        return stop if inverted else end

    def _ends_lead(self, i: int) -> bool:
        word = self.folded[i]
        if word in _ENDS_OF_LEADS:
            return True
        after = self.folded[i + 1] if i + 1 < len(self.folded) else ""
        if word.endswith("s"):
            # "grows" is a verb, "adams" and "santos" are not.
            stem = word[:-2] if word.endswith(_SIBILANTS) else word[:-1]
            return word not in borne_names() and (
                stem in ordinary_words() or after in _AFTER_PRESENT_TENSE
            )
        if not word.endswith("ed"):
            return False
        # "quelled" stands where no "ahmed" does: before an article or the like.
        return after in _AFTER_PAST_TENSE or not ordinary_words().isdisjoint((word[:-2], word[:-1]))

    def _learn_lead(self, start: int, end: int) -> None:
        parts = self.old.parts
        if all(word in parts for word in self.folded[start:end]):
            return
        words = [w for w in self.folded[start:end] if w not in QUOTES and w not in SUFFIXES]
        family = [i for i, word in enumerate(words) if parts.get(word) == FAMILY]
        self.old.add_parts(words, family_from=family[0] if family else None)

    def _past_tail(self, end: int) -> int:
        """The end of a name with "iii", "obe", "of georgia" or ", 2nd baronet" behind it."""
        folded, old = self.folded, self.old
        last = len(folded)
        while end < last and folded[end] in _NUMERALS:
            end += 1
        if end < last and folded[end] in (",", "of"):
            end = self._past_own_tail(end)
        while end < last:
            if folded[end] in old.honours:
                end += 1
            elif folded[end] == "," and end + 1 < last and folded[end + 1] in old.honours:
                end += 2
            else:
                break
        return end

    def _past_own_tail(self, end: int) -> int:
        for phrases in self.old.phrases.values():
            for words, _ in phrases:
                if self.folded[end] in words[1:]:
                    tail = words[words.index(self.folded[end], 1) :]
                    if tuple(self.folded[end : end + len(tail)]) == tail:
                        return end + len(tail)
        return end

    # --- the name within the text ---------------------------------------------------------------

    def _mention_at(self, i: int, position: int) -> Mention | None:
        folded, old = self.folded, self.old
        for words, part in old.phrases.get(folded[i], ()):
            if tuple(folded[i : i + len(words)]) == words:
                if words[0] in QUOTES:
                    return Mention(i, i + len(words), part, f"{words[0]} ", f" {words[0]}")
                if not is_phrase_here(folded, i, words):
                    continue
                return self._grown(i, self._past_tail(i + len(words)), part, position)
        known_part = old.parts.get(folded[i])
        if known_part is None:
            return self._inside_compound(i)
        end, part = self._run(i, known_part)
        if end == i + 1 and not is_name_here(folded, i, old):
            return None
        return self._grown(i, end, part, position)

    def _run(self, start: int, part: int) -> tuple[int, int]:
        """How far a name goes on over its other words, initials, particles and nicknames."""
        folded, parts = self.folded, self.old.parts
        first = part
        end = i = start + 1
        while i < len(folded) and i - end <= _LONGEST_GAP:
            word = folded[i]
            if word in parts:
                if word == folded[i - 1] and word in ordinary_words():
                    # "rose rose early" of rose hill.
                    break
                part |= parts[word]
                end = i + 1
            elif not (
                word in QUOTES
                or word in PARTICLES
                or (word.endswith(".") and INITIAL.fullmatch(word))
                or (len(word) == 1 and word in self.old.initials and word not in FUNCTION_WORDS)
                or self._is_quoted(i)
            ):
                break
            i += 1
        if (
            end > start + 1
            and (first == FAMILY or part != FULL)
            and ordinary_words().issuperset(folded[start:end])
        ):
            # "young will sing" of will young: common words in another order are no name.
            end, part = start + 1, first
        while end < len(folded) and folded[end] in _NUMERALS:
            end += 1
        return end, part

    def _is_quoted(self, i: int) -> bool:
        """Whether a word, such as a nickname, stands between quotes; "and" may, between two."""
        folded = self.folded
        return (
            folded[i - 1] in QUOTES
            and i + 1 < len(folded)
            and folded[i + 1] in QUOTES
            and folded[i] not in FUNCTION_WORDS
        )

    def _grown(self, start: int, end: int, part: int, position: int) -> Mention:
        """The mention with its own particles, initials and titles before it."""
        folded, old = self.folded, self.old
        particles = old.particles.get(folded[start], ())
        first = start - len(particles)
        if particles and first >= position and tuple(folded[first:start]) == particles:
            start = first
        while start > position and self._is_own_initial(folded[start - 1]):
            start -= 1
            part |= GIVEN
        name = start
        while start > position and folded[start - 1] in old.titles:
            start -= 1
        if start == name - 1 and folded[start] == "the":
            # "the lord quell", but not "the quell prize".
            start = name
        return Mention(start, end, part)

    def _is_own_initial(self, word: str) -> bool:
        return (
            word.endswith(".")
            and word[0] in self.old.initials
            and word not in _NO_INITIALS
            and INITIAL.fullmatch(word) is not None
        )

    def _inside_compound(self, i: int) -> Mention | None:
        """A name within a word: "egri-erbstein", "smith/jones"."""
        parts, ordinary = self.old.parts, ordinary_words()
        folded, pieces = _JOINTS.split(self.folded[i]), _JOINTS.split(self.words[i])
        places = [k for k, piece in enumerate(folded) if len(piece) > 2 and piece in parts]
        if len(folded) != len(pieces) or all(folded[k] in ordinary for k in places):
            return None
        part = parts[folded[places[0]]]
        for k in places:
            part |= parts[folded[k]]
        before, after = "".join(pieces[: places[0]]), "".join(pieces[places[-1] + 1 :])
        return Mention(i, i + 1, part, "" if before in _ARABIC_ARTICLES else before, after)
