"""Where in a biography its person is named, and the text with those mentions replaced.

What the new name is, and which rows a table keeps, do not belong here.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag

from needle_assets.corpus.names import (
    FUNCTION_WORDS,
    NewName,
    known_names,
    ordinary_words,
    word_set,
)

_HONORIFICS = word_set(
    """
    sir dame lord lady king queen prince princess pope saint st st. blessed venerable baron baroness
    count countess duke duchess marquess marquis viscount viscountess emperor empress sultan sultana
    tsar cardinal archbishop bishop patriarch father mother sister brother rev rev. reverend dr dr.
    mr mr. mrs mrs. ms ms. miss master prof prof. professor capt. captain general gen. colonel col.
    col major maj. maj lieutenant lt. lt lieutenant-general major-general brigadier
    brigadier-general sergeant sgt. corporal private commander commodore admiral vice-admiral
    marshal president senator governor mayor judge justice rabbi imam sheikh shaikh sheik swami guru
    maharaja raja rani shah hon. honourable honorable hon chief dona the
    """
)
_PARTICLES_OR_GIVEN = frozenset({"al", "mac", "van"})
_SUFFIXES = word_set(
    """
    jr jr. sr sr. ii iii iv vi vii viii ix xi xii xiii esq esq. phd ph.d. md m.d. dds ac ao am oam
    ak gbe kbe dbe cbe obe mbe kcb gcb cb kcmg gcmg dcmg cmg kcvo gcvo cvo gbs jp pc qc kc mp mep
    mla msp dso dsc dfc afc mc mm vc gc frs frse fba fram cie kcie gcsi csi bt ra s.j. sj o.p. osb
    o.s.b. d.d. ba ma msc llb pa jd
    """
)
_PARTICLES = word_set(
    """
    de da di do dos das du del della dello dei degli d' der den des van von vom zu zur zum la le las
    los el al il lo ibn ibn- bin bint ben binti abu umm ap ab y e i et st st. san santa sao ter ten
    te op 't af av til mac mc o' nic ni
    """
)
_NUMERALS = word_set("ii iii iv vi vii viii ix xi xii xiii")
_TITLES_BEFORE_SURNAMES = _HONORIFICS - {"the"} | {"coach", "actor", "actress", "singer"}
_QUOTES = frozenset({'"', "'"})
_COPULAS = frozenset({"is", "was", "are", "were"})
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
    writes never then currently
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
_PLACE_PREPOSITIONS = frozenset({"in", "at", "near", "outside", "into", "inside"})
_PLACE_NOUNS = word_set(
    """
    city county town village university college school river island islands lake bay beach state
    states street road avenue park airport united rovers wanderers albion athletic fc f.c. afc
    a.f.c. province district region valley bridge station
    """
)

_NAME_FIELDS = word_set(
    """
    name names fullname birthname birthnames playername nativename realname originalname commonname
    formalname completename officialname personname maidenname formername formernames regnalname
    religiousname honorificname
    """
)
_ALIAS_FIELDS = word_set(
    """
    nickname nicknames othername othernames alias aliases alsoknownas knownas aka pseudonym
    pseudonyms penname stagename ringname ringnames
    """
)

_BORN_CUES = frozenset({"born", "ne", "nee", "b."})
_NAME_CUES = _BORN_CUES | word_set(
    """
    known nicknamed alias aka a.k.a. a/k/a called named name nom pseudonym spelled spelt formerly
    originally christened baptised baptized billed styled credited
    """
)
_CUE_FILLERS = word_set(
    """
    as simply professionally just also better best by his her their in or is was de guerre plume
    name mononym nickname pseudonym stage pen ring craft full real first under to sometimes often
    commonly popularly usually , :
    """
)
_EMPTY_CELL = "<none>"
_LONGEST_LEAD = 20
_LONGEST_FORM = 24
_LONGEST_ALIAS = 5
_LONGEST_INFOBOX_ALIAS = 8
_LONGEST_GAP = 3
_FURTHEST_MAIN_VERB = 120

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
_ENDS_OF_STRETCH = frozenset({"(", ")", ";", ",", ""})
_LONGEST_LABEL = 4
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
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs"})
_WORD = re.compile(r"[^\W_]+")
_INITIAL = re.compile(r"(?:[^\W\d_]\.-?){1,4}|[^\W\d_]")
_JOINTS = re.compile(r"([-'\u2019/.\u00b7])")
# Letters beyond Latin and the phonetic alphabet; one Greek letter may stand alone, as in "β-test".
_OTHER_SCRIPT = re.compile(r"[^\W\d_\u0000-\u02ff\u0370-\u03ff\u1d00-\u1eff]|[\u0370-\u03ff]{2}")
_EMPTY_BRACKETS = re.compile(r"\( (?:[;,:/] )*\) ?")
_LEADING_MARKS = re.compile(r"(?<=\( )(?:[;,:] )+")
_TRAILING_MARKS = re.compile(r"(?: [;,:])+(?= \))")
_BETWEEN_ALIASES = re.compile(r" [;/|,&] | or |\"")


class Part(IntFlag):
    """Which part of a name a word is, or a mention stands for."""

    GIVEN = 1
    FAMILY = 2
    FULL = 3


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
    # Canonical decomposition only: the compatible one would make new spaces.
    plain = _COMBINING.sub("", unicodedata.normalize("NFD", text.lower()))
    return unicodedata.normalize("NFC", plain).translate(_FOLDED_LETTERS)


def words_of(folded: str) -> list[str]:
    """Runs of letters and digits: the pieces of "egri-erbstein" count one by one."""
    return _WORD.findall(folded)


def is_name_field(key: str) -> bool:
    """Whether an infobox field of that key says how the person is called."""
    plain = _plain_key(key)
    return plain in _NAME_FIELDS or plain in _ALIAS_FIELDS


def holds_other_script(text: str) -> bool:
    """Whether a word is written neither in Latin letters nor as a lone Greek one."""
    return not text.isascii() and bool(_OTHER_SCRIPT.search(text))


@dataclass(slots=True)
class OldName:
    """All that title and infobox say about how the person is called, folded.

    Attributes:
        parts: the name's words and which part each is, without particles and initials.
        required: words of three letters or more that must not remain in the text; words of
            grammar are not among them.
        phrases: whole forms, by their first word, with what stands for them.
        particles: what stands before a surname, as "le" before "pen".
        titles: "sir", "pope" and the like, where the name is given with it.
        initials: first letters of given names.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    phrases: dict[str, list[tuple[tuple[str, ...], Part]]] = field(default_factory=dict)
    particles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, title: str, infobox: Mapping[str, str]) -> "OldName":
        """Read the title, without its bracket, and the infobox's name fields."""
        name = cls()
        name._add_name(plain_text(title).partition("(")[0].split())
        for key, value in infobox.items():
            if value.strip() == _EMPTY_CELL:
                continue
            if _plain_key(key) in _ALIAS_FIELDS:
                name._add_aliases(value)
            else:
                for form in _forms_in(value):
                    name._add_name(form)
        for found in name.phrases.values():
            found.sort(key=lambda phrase: -len(phrase[0]))
        return name

    def remains_in(self, text: str) -> bool:
        """Whether a word of the name stands in a text, accents aside."""
        return not self.required.isdisjoint(words_of(fold(text)))

    def add_parts(self, words: Sequence[str], *, family_from: int | None = None) -> None:
        """Take the words of one form of the name, title and suffix removed.

        The last word is the surname, with all that follows a particle, unless ``family_from``
        says otherwise; the others are given names. What an earlier form said of a word stands.
        """
        places = [i for i in range(len(words)) if _is_part(words, i)]
        if not places:
            return
        if family_from is None:
            family_from = _start_of_surname(words, places)
        for i in places:
            part = Part.FAMILY if i >= family_from else Part.GIVEN
            self.parts.setdefault(words[i], part)
            for piece in words_of(words[i]):
                # Half of a double surname may stand alone; "may" of "smith-may" may not.
                if len(piece) >= 3 and piece not in ordinary_words() and not piece.isdigit():
                    self.parts.setdefault(piece, part)
            before = i
            while before > 0 and words[before - 1] in _PARTICLES:
                before -= 1
            if 0 < before < i:
                self.particles.setdefault(words[i], tuple(words[before:i]))
        self.initials.update(
            word[0] for word in words[:family_from] if word[0].isalpha() and word not in _PARTICLES
        )

    def _add_name(self, form: Sequence[str]) -> None:
        words = [word for word in map(fold, form) if word not in _QUOTES]
        if any(map(_is_native, words)):
            # Never a mention: native spellings are taken out of the text, not replaced in it.
            self.required.update(word for word in words_of(" ".join(words)) if len(word) >= 3)
            return
        self._add_phrase(words, Part.FULL)
        bare = self._without_titles(words)
        head = bare[: bare.index(",")] if "," in bare else bare
        head = head[: head.index("of")] if "of" in head[1:] else head
        while len(head) > 1 and head[-1] in _SUFFIXES:
            head = head[:-1]
        self.add_parts(head[:_LONGEST_FORM])
        self.required.update(
            word
            for word in words_of(" ".join(bare))
            if len(word) >= 3
            and not word.isdigit()
            and word not in FUNCTION_WORDS
            and (word not in _PARTICLES or word in self.parts)
        )

    def _add_aliases(self, value: str) -> None:
        ordinary = ordinary_words()
        for piece in _BETWEEN_ALIASES.split(plain_text(value)):
            words = [word for word in fold(piece).split() if word not in "()[]\"',"]
            if not 0 < len(words) <= _LONGEST_INFOBOX_ALIAS or any(map(_is_native, words)):
                continue
            self._add_phrase(words, Part.GIVEN)
            if ordinary.isdisjoint(words):
                # "the perfect storm" is replaced as a whole; only such as "lojzka" by the word.
                self.add_parts(words)
                self.required.update(word for word in words_of(" ".join(words)) if len(word) >= 3)

    def _add_phrase(self, words: Sequence[str], part: Part) -> None:
        if 1 < len(words) <= _LONGEST_FORM:
            self.phrases.setdefault(words[0], []).append((tuple(words), part))

    def _without_titles(self, words: Sequence[str]) -> Sequence[str]:
        start = 0
        while start < len(words) - 1 and words[start] in _HONORIFICS:
            start += 1
        self.titles.update(words[:start])
        return words[start:]


def _plain_key(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.rpartition("|")[2].lower())


def _is_part(words: Sequence[str], i: int) -> bool:
    """Whether word ``i`` of a form is a name by itself, no particle, initial or mark."""
    word = words[i]
    if word in _PARTICLES:
        last = i == len(words) - 1
        return (last and i > 0) or (i == 0 and not last and word in _PARTICLES_OR_GIVEN)
    return not _INITIAL.fullmatch(word) and any(map(str.isalpha, word))


def _start_of_surname(words: Sequence[str], places: Sequence[int]) -> int:
    if places == [0]:
        return len(words)
    for i in range(places[0] + 1, places[-1]):
        if words[i] in _PARTICLES:
            return i
    return places[-1]


def _forms_in(value: str) -> Iterator[list[str]]:
    """The names in one infobox value: what stands in brackets is a further one.

    Words in another script than Latin are a further one too.
    """
    outside: list[str] = []
    inside: list[str] = []
    native: list[str] = []
    depth = 0
    for word in plain_text(value).split():
        if word in "([{":
            depth += 1
        elif word in ")]}":
            depth = max(0, depth - 1)
        elif _is_native(word):
            native.append(word)
        else:
            (inside if depth else outside).append(word)
    return (form for form in (outside, inside, native) if form)


@dataclass(frozen=True, slots=True)
class Mention:
    """Words ``start`` to ``end`` (not included) of a text, and what part of a name they are.

    ``before`` and ``after`` are what is left of a compound: "egri-" in "egri-erbstein".
    """

    start: int
    end: int
    part: Part
    before: str = ""
    after: str = ""


class Biography:
    """A text as words, and where in it the old name stands."""

    def __init__(self, text: str, old: OldName) -> None:
        """Take a text as ``plain_text`` gives it; ``old`` learns from it what else is a name."""
        self.words = text.split(" ")
        # Folding keeps words apart: it makes and removes no spaces.
        self.folded = fold(text).split(" ")
        self.old = old

    def mentions(self) -> list[Mention]:
        """Where the name stands, in the order of the text; nothing where it does not.

        One of them is the whole name: the text's first where the text never has it whole.
        """
        lead = self._lead()
        position = lead.end if lead else 0
        self._learn_aliases(position, self._main_verb(position))
        found: list[Mention] = [lead] if lead else []
        parts, phrases = self.old.parts, self.old.phrases
        for i, word in enumerate(self.folded):
            if i < position or not (
                word in parts or word in phrases or (len(word) > 4 and not word.isalnum())
            ):
                continue
            mention = self._mention_at(i, position)
            if mention:
                found.append(mention)
                position = mention.end
        if found and all(mention.part is not Part.FULL for mention in found):
            found[0] = replace(found[0], part=Part.FULL)
        return found

    def rewritten(self, mentions: Iterable[Mention], new: NewName) -> str:
        """The text with the mentions replaced and native spellings taken out."""
        spoken = {Part.FULL: new.full, Part.GIVEN: new.given, Part.FAMILY: new.family}
        pieces: list[str] = []
        position = 0
        for mention in mentions:
            pieces += self.words[position : mention.start]
            pieces.append(f"{mention.before}{spoken[mention.part]}{mention.after}")
            position = mention.end
        pieces += self.words[position:]
        text = " ".join(pieces)
        if not text.isascii() or " : " in text:
            text = " ".join(_without_native_spellings(text.split(" ")))
        if "( " in text:
            text = _EMPTY_BRACKETS.sub("", text)
            text = _TRAILING_MARKS.sub("", _LEADING_MARKS.sub("", text))
        return text.strip()

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
            elif word in _QUOTES or (start is not None and word in _PARTICLES | _SUFFIXES):
                continue
            elif word in _HONORIFICS or word in ordinary:
                if start is not None and (word in FUNCTION_WORDS or word in _HONORIFICS):
                    break
                # "edward grey cooke": the name's if the name goes on behind it.
                doubtful = start is not None
                continue
            elif doubtful or not _WORD.search(word) or word[0].isdigit():
                break
            start = i if start is None else start
            end = i + 1
        if start is None or not seen:
            return None
        if end < len(folded) and folded[end] in _QUOTES:
            end += sum(word in _QUOTES for word in folded[start:end]) % 2
        self._learn_lead(start, end)
        while start > 0 and (folded[start - 1] in self.old.titles or folded[start - 1] in _QUOTES):
            start -= 1
        return Mention(start, self._past_tail(end), Part.FULL)

    def _learn_lead(self, start: int, end: int) -> None:
        words = [word for word in self.folded[start:end] if word not in _QUOTES | _SUFFIXES]
        family = [i for i, word in enumerate(words) if self.old.parts.get(word) is Part.FAMILY]
        self.old.add_parts(words, family_from=family[0] if family else None)

    def _past_tail(self, end: int) -> int:
        """The end of a name with "iii", "of georgia" or ", 2nd baronet" behind it."""
        folded = self.folded
        while end < len(folded) and folded[end] in _NUMERALS:
            end += 1
        if end < len(folded) and folded[end] in (",", "of"):
            for phrases in self.old.phrases.values():
                for words, _ in phrases:
                    if folded[end] in words[1:]:
                        tail = words[words.index(folded[end], 1) :]
                        if tuple(folded[end : end + len(tail)]) == tail:
                            return end + len(tail)
        return end

    def _main_verb(self, start: int) -> int:
        """Where the first sentence says what the person is; its end where it does not."""
        depth = 0
        last = min(len(self.folded), start + _FURTHEST_MAIN_VERB)
        for i in range(start, last):
            word = self.folded[i]
            if word == "(":
                depth += 1
            elif word == ")":
                depth = max(0, depth - 1)
            elif depth == 0 and (
                word == "." or (word in _COPULAS and self.folded[i - 1] not in _NAME_CUES)
            ):
                return i
        return last

    def _learn_aliases(self, start: int, end: int) -> None:
        """Names that the text itself gives before it says what the person is: "born x"."""
        for i in range(start, end):
            if self._is_name_cue(i, start):
                alias = self._alias_after(i, end)
                if alias:
                    self.old.add_parts(alias)

    def _is_name_cue(self, i: int, start: int) -> bool:
        word = self.folded[i]
        if word == "or":
            return i <= start + 1
        if word == ":":
            # A label of one word: "( pinyin : liu xiang )".
            return i >= 2 and (self.folded[i - 2] in _QUOTES or self.folded[i - 2] in "(,;")
        return word in _NAME_CUES

    def _alias_after(self, cue: int, end: int) -> list[str]:
        folded, ordinary, parts = self.folded, ordinary_words(), self.old.parts
        i = cue + 1
        while i < end and folded[i] in _CUE_FILLERS and folded[i] not in parts:
            i += 1
        quoted = i < end and folded[i] in _QUOTES
        if quoted:
            i += 1
        alias: list[str] = []
        for word in folded[i : min(end, i + _LONGEST_ALIAS)]:
            if word in _QUOTES and alias:
                continue
            inside = word in parts or (alias and word in _PARTICLES) or _INITIAL.fullmatch(word)
            if not inside and (
                word in ordinary or not word.replace("-", "").isalpha() or _is_native(word)
            ):
                break
            alias.append(word)
        while alias and alias[-1] in _PARTICLES:
            alias.pop()
        if len(alias) == 1 and folded[cue] in _BORN_CUES and alias[0] not in parts and not quoted:
            # "born paris , 1901" names a place; "born x on 1 may" and "born x ;" a person.
            follower = folded[i + 1] if i + 1 < len(folded) else ""
            if follower not in ("on", "in", ";", ")"):
                return []
        return alias

    def _mention_at(self, i: int, position: int) -> Mention | None:
        folded, old = self.folded, self.old
        for words, part in old.phrases.get(folded[i], ()):
            if tuple(folded[i : i + len(words)]) == words:
                return self._grown(i, self._past_tail(i + len(words)), part, position)
        known_part = old.parts.get(folded[i])
        if known_part is None:
            return self._inside_compound(i)
        end, part = self._run(i, known_part)
        if end == i + 1 and not self._is_name_here(i):
            return None
        return self._grown(i, end, part, position)

    def _run(self, start: int, part: Part) -> tuple[int, Part]:
        """How far a name goes on over its other words, initials, particles and nicknames."""
        folded, parts = self.folded, self.old.parts
        end = i = start + 1
        while i < len(folded) and i - end <= _LONGEST_GAP:
            word = folded[i]
            if word in parts:
                part |= parts[word]
                end = i + 1
            elif not (
                word in _QUOTES
                or word in _PARTICLES
                or (word.endswith(".") and _INITIAL.fullmatch(word))
                or (folded[i - 1] in _QUOTES and i + 1 < len(folded) and folded[i + 1] in _QUOTES)
            ):
                break
            i += 1
        while end < len(folded) and folded[end] in _NUMERALS:
            end += 1
        return end, part

    def _grown(self, start: int, end: int, part: Part, position: int) -> Mention:
        """The mention with its own particles, initials and titles before it."""
        folded, old = self.folded, self.old
        particles = old.particles.get(folded[start], ())
        first = start - len(particles)
        if particles and first >= position and tuple(folded[first:start]) == particles:
            start = first
        while start > position and self._is_own_initial(folded[start - 1]):
            start -= 1
            part |= Part.GIVEN
        while start > position and folded[start - 1] in old.titles:
            start -= 1
        return Mention(start, end, part)

    def _is_own_initial(self, word: str) -> bool:
        return (
            word.endswith(".")
            and word[0] in self.old.initials
            and _INITIAL.fullmatch(word) is not None
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
        before, after = pieces[: places[0]], pieces[places[-1] + 1 :]
        return Mention(i, i + 1, part, "".join(before), "".join(after))

    def _is_name_here(self, i: int) -> bool:
        """Whether a single word of the name means the person, or a relative, where it stands.

        A word that means little else does, except after "in" and before "county". One that means
        something else does behind a first name or "mr.", and where a sentence's subject stands;
        an unknown word does unless an article or the like stands before it.
        """
        folded = self.folded
        word = folded[i]
        before = folded[i - 1] if i else "."
        after = folded[i + 1] if i + 1 < len(folded) else "."
        if word in ordinary_words() or len(word) < 3:
            return (
                before in _TITLES_BEFORE_SURNAMES
                or before in known_names()
                or (before in _PREPOSITIONS and after == "'s")
                or self._is_given_as_name(i)
                or _is_subject(word, before, after)
            )
        if before in _PLACE_PREPOSITIONS or after in _PLACE_NOUNS:
            return False
        return word in known_names() or before not in _DETERMINERS or after in _NAMED_AFTER_PEOPLE

    def _is_given_as_name(self, i: int) -> bool:
        """Whether the words before say that a name comes: "known as", "nicknamed"."""
        before = [word for word in self.folded[max(0, i - 3) : i] if word not in _QUOTES]
        if before[-1:] == ["as"]:
            before.pop()
        return bool(before) and before[-1] in _NAME_CUES


def _is_subject(word: str, before: str, after: str) -> bool:
    """Whether a common word stands where only a name does: as a subject without an article."""
    if after in _VERBS or (after.endswith("ed") and len(after) > 3):
        return before in _CLAUSE_STARTS or before.isdigit()
    return before == "." and word not in _ADVERBS and after in _AFTER_SUBJECTS


def _without_native_spellings(words: list[str]) -> list[str]:
    """Take spellings in another script, and transcriptions with a label, out of brackets.

    Inside brackets the stretch between two commas or semicolons goes as a whole, unless it holds
    a number or "born"; elsewhere the words alone go.
    """
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
    native = any(map(_is_native, stretch))
    labelled = ":" in stretch[:_LONGEST_LABEL]
    if in_brackets and (native or labelled):
        facts = any(word == "born" or word[0].isdigit() for word in stretch)
        if not facts:
            return []
    return [word for word in stretch if not _is_native(word)] if native else stretch


def _is_native(word: str) -> bool:
    return not word.isascii() and bool(_OTHER_SCRIPT.search(word))
