"""The name that a person had: all that title and infobox say about how the person is called.

Where it stands in a text (`mentions`) does not belong here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from needle_assets.corpus.spelling import fold, holds_word, in_other_script, plain_text, words_of
from needle_assets.corpus.words import ordinary_words, word_set

GIVEN, FAMILY = 1, 2
FULL = GIVEN | FAMILY
"""Which part of a name a word is, or a mention stands for; parts add up like bits."""

HONORIFICS = word_set(
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
SUFFIXES = word_set(
    """
    jr jr. sr sr. ii iii iv vi vii viii ix xi xii xiii esq esq. phd ph.d. md m.d. dds ac ao am oam
    ak gbe kbe dbe cbe obe mbe kcb gcb cb kcmg gcmg dcmg cmg kcvo gcvo cvo gbs jp pc qc kc mp mep
    mla msp dso dsc dfc afc mc mm vc gc frs frse fba fram cie kcie gcsi csi bt ra s.j. sj o.p. osb
    o.s.b. d.d. ba ma msc llb pa jd kg kt kp om ch gcie gbs sbs bbs frsl frsc fras frgs rdi tc tcm
    mnzm onzm cnzm qso frcp frcs
    """
)
PARTICLES = word_set(
    """
    de da di do dos das du del della dello dei degli d' der den des van von vom zu zur zum la le las
    los el al il lo ibn ibn- bin bint ben binti abu umm ap ab y e i et st st. san santa sao ter ten
    te op 't af av til mac mc o' nic ni
    """
)
QUOTES = frozenset({'"', "'"})
INITIAL = re.compile(r"(?:[^\W\d_]\.-?){1,4}|[^\W\d_]")

_AND = frozenset({"y", "e", "i"})
_PARTICLES_OR_GIVEN = frozenset({"al", "mac", "van"})
_NO_PLAIN_WORD = HONORIFICS | SUFFIXES | PARTICLES | {"of"}
_NAME_FIELDS = word_set(
    """
    name names fullname birthname birthnames playername nativename realname originalname commonname
    formalname completename officialname personname maidenname formername formernames regnalname
    religiousname honorificname shortname longname englishname localname legalname propername
    marriedname baptismalname monasticname dharmaname papalname templename posthumousname
    courtesyname childhoodname givenname givennames firstname middlename lastname surname
    familyname namebirth birthfullname fullbirthname bornname namefull
    """
)
_ALIAS_FIELDS = word_set(
    """
    nickname nicknames nick othername othernames alternatename alternatenames alternativename
    alternativenames alias aliases alsoknownas otherwiseknownas bestknownas betterknownas knownas
    aka pseudonym pseudonyms penname pennames stagename stagenames screenname ringname ringnames
    artname codename warname nomdeguerre birthalias moniker
    """
)
_ENDS_LIKE_NAME = re.compile(r"names?$")
# What else has a name in an infobox: "spouse_name", "image_name", "ship_name", "native_name_lang".
_OF_SOMETHING_ELSE = re.compile(
    r"image|file|lang|ship|spouse|partner|wife|husband|father|mother|parent|child|team|club|school|"
    r"college|universit|stadium|constituency|company|label|font|signature|show|series|web|horse|"
    r"dog|party|honorific|office|district|character|module|event|award|place|country|state"
)
_NEW_FORM = word_set("née nee né born aka a.k.a. alias formerly later ; /")
_MAIDEN = frozenset({"née", "nee", "né"})
_STYLES = word_set(
    "right honourable honorable hon hon. most very his her excellency highness royal earl"
)
_EMPTY_CELL = "<none>"
_LONGEST_FORM = 24
_LONGEST_ALIAS = 8
_LONGEST_PLAIN = 4
_MOST_PHRASES = 32
_FEW = 64
_BETWEEN_ALIASES = re.compile(r" [;/|,&] | or |\"")


@cache
def is_name_field(key: str) -> bool:
    """Whether an infobox field of that key says how the person is called."""
    plain = _plain_key(key)
    if plain in _NAME_FIELDS or plain in _ALIAS_FIELDS:
        return True
    return bool(_ENDS_LIKE_NAME.search(plain)) and not _OF_SOMETHING_ELSE.search(plain)


@cache
def _is_alias_field(key: str) -> bool:
    return _plain_key(key) in _ALIAS_FIELDS


@cache
def _is_family_field(key: str) -> bool:
    return _plain_key(key) in ("maidenname", "lastname", "surname", "familyname")


def _plain_key(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.rpartition("|")[2].lower())


@dataclass(slots=True)
class OldName:
    """All that title and infobox say about how the person is called, folded.

    Attributes:
        parts: the name's words and which part each is, without particles and initials.
        required: words of three letters or more that must not remain in the text.
        phrases: whole forms, by their first word, with what stands for them, longest first.
        particles: what stands before a surname, as "le" before "pen".
        titles: "sir", "pope" and the like, where the name is given with it.
        honours: "obe", "iii" and the like, where the name is given with it.
        initials: first letters of given names.
    """

    parts: dict[str, int] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = field(default_factory=dict)
    particles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)
    honours: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, title: str, infobox: Mapping[str, str]) -> "OldName":
        """Read the title, without its bracket, and the infobox's name fields."""
        name = cls()
        plain = title if title.replace(" ", "").isalpha() else plain_text(title).partition("(")[0]
        name._add_name(plain.split())
        # Most infoboxes give the title once more.
        seen = {title, "", _EMPTY_CELL}
        for key, value in infobox.items():
            value = value.strip()
            if value in seen:
                continue
            if _is_alias_field(key):
                name._add_aliases(value)
                continue
            seen.add(value)
            for form in _forms_in(value):
                maiden = form[0].lower() in _MAIDEN or _is_family_field(key)
                name._add_name(form[1:] if form[0].lower() in _MAIDEN else form, maiden=maiden)
        return name

    def remains_in(self, text: str) -> bool:
        """Whether a word of the name stands in a text, accents aside."""
        folded = fold(text)
        if len(self.required) > _FEW:
            return not self.required.isdisjoint(words_of(folded))
        return any(holds_word(word, folded) for word in self.required)

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
            part = FAMILY if i >= family_from else GIVEN
            self.parts.setdefault(words[i], part)
            if not words[i].isalnum():
                self._add_pieces(words[i], part)
            before = i
            while before > 0 and words[before - 1] in PARTICLES:
                before -= 1
            if 0 < before < i:
                self.particles.setdefault(words[i], tuple(words[before:i]))
        self.initials.update(
            word[0] for word in words[:family_from] if word[0].isalpha() and word not in PARTICLES
        )

    def add_phrase(self, words: Sequence[str], part: int) -> None:
        """Take a form that is replaced where it stands as a whole."""
        if 1 < len(words) <= _LONGEST_FORM:
            phrases = self.phrases.setdefault(words[0], [])
            if len(phrases) < _MOST_PHRASES:
                phrases.append((tuple(words), part))
                phrases.sort(key=lambda phrase: -len(phrase[0]))

    def _add_pieces(self, word: str, part: int) -> None:
        """Half of a double surname may stand alone; "may" of "smith-may" may not."""
        for piece in words_of(word):
            if len(piece) >= 3 and piece not in ordinary_words() and not piece.isdigit():
                self.parts.setdefault(piece, part)

    def _require(self, words: Sequence[str]) -> None:
        self.required.update(
            word for word in words_of(" ".join(words)) if sum(map(str.isalpha, word)) >= 3
        )

    def _add_name(self, form: Sequence[str], *, maiden: bool = False) -> None:
        if not form:
            return
        words = fold(" ".join(form)).split(" ")
        if _is_plain(words):
            *given, family = words
            parts = self.parts
            for word in given:
                parts.setdefault(word, GIVEN)
                self.initials.add(word[0])
            parts.setdefault(family, FAMILY)
            self.required.update(word for word in words if len(word) >= 3)
            self.add_phrase(words, FULL)
            return
        words = [word for word in words if word and word not in QUOTES]
        self._require(words)
        if any(map(in_other_script, words)):
            # Never a mention: native spellings are taken out of the text, not replaced in it.
            return
        self.add_phrase(words, FULL)
        bare = self._without_titles(words)
        head = bare[: bare.index(",")] if "," in bare else bare
        head = head[: head.index("of")] if "of" in head[1:] else head
        self.honours.update(word for word in bare[1:] if word in SUFFIXES)
        while len(head) > 1 and head[-1] in SUFFIXES:
            head = head[:-1]
        self.add_parts(head[:_LONGEST_FORM], family_from=0 if maiden and len(head) == 1 else None)

    def _add_aliases(self, value: str) -> None:
        ordinary = ordinary_words()
        for piece in _BETWEEN_ALIASES.split(plain_text(value)):
            words = [word for word in fold(piece).split() if word not in "()[]\"',"]
            if not 0 < len(words) <= _LONGEST_ALIAS:
                continue
            self._require(words)
            if any(map(in_other_script, words)):
                continue
            self.add_phrase(words, GIVEN)
            if ordinary.isdisjoint(words) or len(words) == 1:
                # "the perfect storm" is replaced as a whole; only such as "lojzka" by the word.
                self.add_parts(words)

    def _without_titles(self, words: Sequence[str]) -> Sequence[str]:
        start = 0
        while start < len(words) - 1 and (
            words[start] in HONORIFICS or (start > 0 and words[start] in _STYLES)
        ):
            start += 1
        self.titles.update(words[:start])
        return words[start:]


def _is_plain(words: Sequence[str]) -> bool:
    """Whether a form is some words of Latin letters and nothing else, as most are."""
    return (
        1 < len(words) <= _LONGEST_PLAIN
        and all(len(word) > 1 and word.isascii() and word.isalpha() for word in words)
        and _NO_PLAIN_WORD.isdisjoint(words)
    )


def _is_part(words: Sequence[str], i: int) -> bool:
    """Whether word ``i`` of a form is a name by itself, no particle, initial or mark."""
    word = words[i]
    if word in PARTICLES:
        last = i == len(words) - 1
        return (last and i > 0) or (i == 0 and not last and word in _PARTICLES_OR_GIVEN)
    return not INITIAL.fullmatch(word) and any(map(str.isalpha, word))


def _start_of_surname(words: Sequence[str], places: Sequence[int]) -> int:
    if places == [0]:
        return len(words)
    for i in range(places[0] + 1, places[-1]):
        if words[i] in PARTICLES:
            # "y" joins two surnames, "van" opens one.
            return max(i - 1, places[0] + 1) if words[i] in _AND else i
    return places[-1]


def _forms_in(value: str) -> Iterator[list[str]]:
    """The names in one infobox value.

    What stands in brackets is a further one, and so is "née" with what follows it, what follows a
    slash or a semicolon, and words in another script than Latin.
    """
    outside: list[list[str]] = [[]]
    inside: list[str] = []
    native: list[str] = []
    depth = 0
    renewed = False
    for word in plain_text(value).split():
        if word in "([{":
            depth += 1
        elif word in ")]}":
            depth = max(0, depth - 1)
            renewed = False
        elif word.lower() in _NEW_FORM:
            outside.append([word] if word.lower() in _MAIDEN else [])
            renewed = True
        elif in_other_script(word):
            native.append(word)
        elif depth and not renewed:
            inside.append(word)
        else:
            outside[-1].append(word)
    return (form for form in (*outside, inside, native) if form)
