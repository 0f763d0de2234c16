"""Rows of the sample: a person, something else, or an earlier row told again with small edits.

Each row is a function of the seed and its number alone. The words are in `data/`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from needle_assets.corpus.sample.dice import Dice
from needle_assets.corpus.sample.grammar import Template, tidy
from needle_assets.corpus.sample.lexicon import (
    Kind,
    Lexicon,
    Pool,
    Role,
    lexicon,
)
from needle_assets.corpus.sample.person import (
    NO_DAY,
    Basis,
    Day,
    Person,
    Subject,
    draw_person,
    scene_of,
    write_subject,
)
from needle_assets.corpus.sample.scene import MONTHS, THIS_YEAR, RowScene
from needle_assets.corpus.tables import RAW_SCHEMA

TRUTH_SCHEMA = pa.schema(
    [
        pa.field("bio_id", pa.string(), nullable=False),
        pa.field("is_person", pa.bool_(), nullable=False),
        pa.field("nationality", pa.string(), nullable=False),
        pa.field("nationality_basis", pa.string(), nullable=False),
        *(
            pa.field(f"date_of_{event}_{part}", pa.int64(), nullable=False)
            for event in ("birth", "death")
            for part in ("day", "month", "year")
        ),
        pa.field("sportsperson", pa.bool_(), nullable=False),
        pa.field("politician", pa.bool_(), nullable=False),
    ]
)
"""What the texts say, as the generator knows it. ``nationality_basis`` is stated, inferable or
absent; a nationality that is absent is ``unknown``; parts of dates not stated are 0."""

_NOT_A_PERSON = 0.045
_NEAR_DUPLICATE = 0.011
# Words of a first paragraph at 0, 5, 10, ... 100 percent of 4,131 real ones.
_WORDS = (9, 18, 22, 24, 26, 29, 32, 35, 38, 42, 46, 51, 57, 64, 72, 81, 96, 115, 140, 168, 221)
_SENTENCE_WORDS = 17
_TRIES = 14
# Where sentences that name no year stand among those that do.
_MIDDLE_AGE, _GAMES_AGE = 40, 26
_NATIONAL_TEAMS = frozenset(("country", "land", "games"))
_JOINABLE = (0, 2)  # phases of a life whose sentences tell what was done, one after the other
_DIVIDED = re.compile(r"[,;\n]")
_PRESENT = re.compile(r"\S+ (is|has|lives|leads|runs|holds|continues|plays|trains|wears|stands) ")


@dataclass(frozen=True)
class Row:
    """One row, with its truth."""

    title: str
    infobox: tuple[tuple[str, str], ...]
    text: str
    is_person: bool
    nationality: str
    basis: Basis
    birth: Day
    death: Day
    sportsperson: bool
    politician: bool


def sample_corpus(rows: int, seed: int) -> pa.Table:
    """The first ``rows`` biographies of the sample, in ``RAW_SCHEMA``.

    Row i is the same whatever ``rows`` is. About 4.5 in 100 are not about a person, and about 1
    in 100 tell an earlier row again with small edits.
    """
    drawn = _rows(rows, seed)
    return pa.table(
        {
            "bio_id": _bio_ids(rows),
            "title": [row.title for row in drawn],
            "infobox": pa.array([row.infobox for row in drawn], RAW_SCHEMA.field("infobox").type),
            "text": [row.text for row in drawn],
        },
        schema=RAW_SCHEMA,
    )


def sample_truth(rows: int, seed: int) -> pa.Table:
    """What those biographies say, in the same order, in ``TRUTH_SCHEMA``."""
    drawn = _rows(rows, seed)
    columns: dict[str, Sequence[object]] = {
        "bio_id": _bio_ids(rows),
        "is_person": [row.is_person for row in drawn],
        "nationality": [row.nationality for row in drawn],
        "nationality_basis": [row.basis for row in drawn],
        "sportsperson": [row.sportsperson for row in drawn],
        "politician": [row.politician for row in drawn],
    }
    for event, days in (("birth", [r.birth for r in drawn]), ("death", [r.death for r in drawn])):
        columns[f"date_of_{event}_day"] = [day.day for day in days]
        columns[f"date_of_{event}_month"] = [day.month for day in days]
        columns[f"date_of_{event}_year"] = [day.year for day in days]
    return pa.table({name: columns[name] for name in TRUTH_SCHEMA.names}, schema=TRUTH_SCHEMA)


def _bio_ids(rows: int) -> list[str]:
    return [f"sample-{number}" for number in range(rows)]


def _rows(rows: int, seed: int) -> list[Row]:
    words = lexicon()
    return [_row(seed, number, words) for number in range(rows)]


def _row(seed: int, number: int, words: Lexicon) -> Row:
    """Row ``number``; it does not depend on any other row having been drawn."""
    dice = Dice(seed, "sample", number)
    if number and dice.chance(_NEAR_DUPLICATE):
        return _told_again(_row(seed, dice.between(0, number - 1), words), dice)
    if dice.chance(_NOT_A_PERSON):
        return _other_row(dice, words)
    return _person_row(dice, words)


# --- people -----------------------------------------------------------------------------------


def _person_row(dice: Dice, words: Lexicon) -> Row:
    person = draw_person(dice, words)
    scene = scene_of(person, dice, words)
    subject = write_subject(person, scene)
    text = _Story(person, scene, subject, words).write()
    title = _title(person, scene)
    stated = person.basis != "absent"
    return Row(
        title=title,
        infobox=(*_person_infobox(person, scene, subject), ("article_title", title)),
        text=text,
        is_person=True,
        nationality=_capitalised(person.country.adjective) if stated else "unknown",
        basis=person.basis,
        birth=subject.stated_birth,
        death=subject.stated_death,
        sportsperson=person.calling.kind == "sport",
        politician=person.calling.kind == "politician",
    )


def _capitalised(adjective: str) -> str:
    return " ".join(word.capitalize() for word in adjective.split())


def _title(person: Person, scene: RowScene) -> str:
    title = person.name.title
    if not scene.dice.chance(0.09):
        return title
    noun = scene.dice.choice((scene.values["noun"], person.calling.sport or scene.values["noun"]))
    born = f" , born {person.birth.year}" if scene.dice.chance(0.2) else ""
    return f"{title} -lrb- {tidy(noun)}{born} -rrb-"


class _Story:
    """The text of one person: a first sentence and as many more as its length asks for."""

    def __init__(self, person: Person, scene: RowScene, subject: Subject, words: Lexicon) -> None:
        self._person = person
        self._scene = scene
        self._subject = subject
        self._lexicon = words
        self._common = words.common
        self._used: set[Template] = set()
        self._groups: set[str] = set()
        # Sentences beside their place in the text: the phase of life, then the age.
        self._parts: list[tuple[tuple[int, int], str]] = []
        self._words = 0

    def write(self) -> str:
        """The finished text, one sentence a line."""
        target = _length(self._scene.dice)
        self._lead()
        if self._person.basis == "inferable" and not self._scene.values["from"]:
            calling = self._person.calling
            home = calling.home if calling.international else ()
            self._add(home or self._common["home"], 2)
        while target - self._words > _SENTENCE_WORDS // 2:
            pool, phase = self._next_pool()
            if not self._add(pool, phase, room=target - self._words + _SENTENCE_WORDS):
                break
        self._parts.sort(key=lambda part: part[0])
        return tidy("\n".join(self._joined()))

    def _joined(self) -> list[str]:
        """The sentences in order; now and then two short ones become one."""
        he, last = self._scene.values["he"], self._person.name.last
        texts: list[str] = []
        before: tuple[int, int] = (-1, 0)
        for place, text in self._parts:
            words = text.split()
            joins = (
                before[0] == place[0] in _JOINABLE
                and len(texts[-1].split()) < _SENTENCE_WORDS > len(words)
                and texts[-1].startswith((f"{he} ", f"{last} "))
                and not texts[-1].startswith(f"{last} 's ")
                and words[:1] == [he]
                and not _DIVIDED.search(texts[-1])
                and self._scene.dice.chance(0.6)
            )
            if joins:
                link = " , and " if " and " in texts[-1] else " and "
                texts[-1] = texts[-1].removesuffix(" .") + link + text.removeprefix(f"{he} ")
            else:
                texts.append(text)
            # A sentence that was joined, or speaks of the present, takes no other.
            before = (-2, 0) if joins or _PRESENT.match(text) else place
        return texts

    def _lead(self) -> None:
        """The sentence that opens the text, and those that hold its dates."""
        scene, person = self._scene, self._person
        dice = scene.dice
        pool = [t for t in person.calling.lead if self._fits(t)]
        if person.basis == "stated":
            pool = [t for t in pool if "A" in t.slots]
        lead = dice.choice(pool)
        scene.values["S"] = self._subject.text
        scene.values["from"] = ""
        unplaced = person.basis == "inferable" and not self._subject.names_birthplace
        if unplaced and "from" in lead.slots and dice.chance(0.75):
            scene.values["from"] = f" from {self._subject.birthplace}"
        noun = scene.values["noun"]
        second = dice.choice(person.calling.roles)
        if person.calling.kind == "person" and dice.chance(0.2) and self._suits(second):
            scene.values["noun"] = f"{noun} and {second.noun.write(scene)}"
        self._put(lead.write(scene), (-1, 0))
        scene.values["noun"] = noun
        for text in self._subject.sentences:
            self._put(text, (4, 0) if " died " in text else (0, 0))

    def _suits(self, role: Role) -> bool:
        """Whether a second role belongs to the person's time, country and sex."""
        person = self._person
        return (
            role is not person.role
            and role.born[0] <= person.birth.year <= role.born[1]
            and role.adjectives in ((), person.role.adjectives)
            and role.sex in ("", "M" if person.male else "F")
        )

    def _next_pool(self) -> tuple[Pool, int]:
        """Which part of a life the next sentence is about, and where it stands."""
        common, sport = self._common, self._person.calling.kind == "sport"
        pools: list[tuple[Pool, int, float]] = [
            (self._person.calling.story, 2, 0.62),
            (common["early"], 0, 0.08 if sport else 0.12),
            (common["education"], 1, 0.02 if sport else 0.12),
            (common["personal"], 3, 0.06 if sport else 0.1),
            (common["late"], 2, 0.02 if sport else 0.08),
        ]
        if not self._person.alive:
            pools.append((common["death"], 5, 0.08))
        if self._person.basis == "stated":
            pools.append((common["abroad"], 2, 0.05))
        pool, phase, _ = self._scene.dice.weighted(pools, [weight for *_, weight in pools])
        return pool, phase

    def _add(self, pool: Pool, phase: int, room: int = 1000) -> bool:
        """Put one more sentence of the pool in; false when none was found that fits."""
        for _ in range(_TRIES):
            template = self._scene.dice.choice(pool)
            if template in self._used or template.group in self._groups:
                continue
            if not self._fits(template):
                continue
            text = template.write(self._scene)
            if text.count(" ") > room:
                continue
            self._used.add(template)
            if template.group:
                self._groups.add(template.group)
            unstated = _GAMES_AGE if "games" in template.slots else _MIDDLE_AGE
            self._put(text, (phase, template.oldest or unstated))
            return True
        return False

    def _put(self, text: str, place: tuple[int, int]) -> None:
        self._parts.append((place, text))
        self._words += len(text.split())

    def _fits(self, template: Template) -> bool:
        person, tags = self._person, template.tags
        if ("L" in tags and not person.alive) or ("D" in tags and person.alive):
            return False
        if ("A" in tags and not person.active) or ("R" in tags and person.active):
            return False
        if ("M" in tags and not person.male) or ("F" in tags and person.male):
            return False
        if "B" in tags and (self._subject.names_birthplace or self._subject.sentences):
            return False
        if not template.born_from <= person.birth.year <= template.born_to:
            return False
        if template.oldest and not self._scene.reaches_age(template.oldest):
            return False
        if not person.calling.international and not template.slots.isdisjoint(_NATIONAL_TEAMS):
            return template in self._common["home"]
        if person.basis == "absent":
            return not self._lexicon.is_placed(template)
        return person.basis == "stated" or not self._lexicon.names_nations(template)


def _length(dice: Dice) -> int:
    """How many words a text should have, distributed as in the real corpus."""
    at = dice.unit() * (len(_WORDS) - 1)
    below = int(at)
    return round(_WORDS[below] + (at - below) * (_WORDS[below + 1] - _WORDS[below]))


def _person_infobox(
    person: Person, scene: RowScene, subject: Subject
) -> tuple[tuple[str, str], ...]:
    dice = scene.dice
    title = person.name.title
    fields: list[tuple[str, str]] = []
    if dice.chance(0.92):
        fields.append(("name", title))
    if dice.chance(0.34):
        fields.append(("image", f"{title}.jpg"))
        if dice.chance(0.4):
            fields.append(("caption", f"{person.name.last} in {scene.year(30)}"))
    if subject.birth_name:
        fields.append(("birth_name", subject.birth_name))
    # Wikipedia's infoboxes often know a date that the text leaves out, seldom the other way.
    if dice.chance(0.92 if subject.stated_birth != NO_DAY else 0.4):
        fields.append(("birth_date", _infobox_date(person.birth, scene)))
    if dice.chance(0.75):
        fields.append(("birth_place", subject.birthplace))
    if person.death:
        if dice.chance(0.9 if subject.stated_death != NO_DAY else 0.4):
            fields.append(("death_date", _infobox_date(person.death, scene)))
        if dice.chance(0.7):
            fields.append(("death_place", subject.deathplace))
    if dice.chance(0.4 if person.basis == "stated" else 0.15):
        fields.append(("nationality", person.country.adjective))
    fields += [
        (key, tidy(value.write(scene)).removeprefix("the "))
        for key, value in person.calling.infobox
        if dice.chance(0.75) and scene.reaches_age(value.oldest)
    ]
    return tuple(fields)


def _infobox_date(day: Day, scene: RowScene) -> str:
    text = day.text(month_first=scene.month_first)
    return f"0{text}" if text[1] == " " and scene.dice.chance(0.3) else text


# --- others -----------------------------------------------------------------------------------


def _other_row(dice: Dice, words: Lexicon) -> Row:
    kind = dice.weighted(words.kinds, [kind.weight for kind in words.kinds])
    country = dice.weighted(words.countries, [country.weight for country in words.countries])
    scene = RowScene(
        dice,
        words,
        male=dice.chance(0.5),
        country=country,
        culture=words.cultures[dice.choice(country.cultures)],
        layers=(),
        born=dice.between(*kind.born),
        last_year=THIS_YEAR,
    )
    scene.values["last"] = scene.slot("surname", "")
    name = tidy(kind.name.write(scene))
    title = f"{name} -lrb- {kind.suffix} -rrb-" if kind.suffix and dice.chance(0.3) else name
    article = f"@a {country.adjective}" if dice.chance(0.75) else "@a"
    scene.values |= {"S": name, "plainname": name, "A": article}
    texts = [dice.choice(_in_time(kind.lead, scene)).write(scene)]
    target = _length(dice)
    story = list(_in_time(kind.story, scene))
    while story and target - sum(len(text.split()) for text in texts) > _SENTENCE_WORDS // 2:
        template = story.pop(dice.between(0, len(story) - 1))
        texts.append(template.write(scene))
        story = [other for other in story if not template.group or other.group != template.group]
    return Row(
        title=title,
        infobox=_other_infobox(kind, scene, title, name),
        text=tidy("\n".join(texts)),
        is_person=False,
        nationality="unknown",
        basis="absent",
        birth=NO_DAY,
        death=NO_DAY,
        sportsperson=False,
        politician=False,
    )


def _in_time(pool: Pool, scene: RowScene) -> Sequence[Template]:
    return [t for t in pool if scene.reaches_age(t.oldest) and t.born_from <= scene.born]


def _other_infobox(
    kind: Kind, scene: RowScene, title: str, name: str
) -> tuple[tuple[str, str], ...]:
    fields = [
        (key, tidy(value.write(scene))) for key, value in kind.infobox if scene.dice.chance(0.85)
    ]
    return (("name", name), *fields, ("article_title", title))


# --- near-duplicates --------------------------------------------------------------------------

_MONTH = "|".join(MONTHS)
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b")
_MONTH_FIRST = re.compile(rf"\b({_MONTH}) (\d{{1,2}}) , (\d{{4}})\b")
_REWORDINGS = (
    (" best known ", " known "),
    (" currently ", " at present "),
    (" joined ", " moved to "),
    (" received ", " was awarded "),
    (" during ", " in "),
    (" published ", " brought out "),
    (" made his ", " made the "),
    (" -- ", " - "),
    (" who played ", " having played "),
    (" was born in ", " was born at "),
    (" died in ", " passed away in "),
)


def _told_again(row: Row, dice: Dice) -> Row:
    """The same facts with small edits, as Wikipedia's forks and mirrors have them."""
    text = _DAY_FIRST.sub(r"\2 \1 , \3", row.text)
    if text == row.text:
        text = _MONTH_FIRST.sub(r"\2 \1 \3", row.text)
    for old, new in _REWORDINGS:
        if old in text and dice.chance(0.7):
            text = text.replace(old, new, 1)
    if text == row.text:
        # The hole that a pronunciation template leaves.
        text = re.sub(r" (is|was|are|were) ", r" -lrb- -rrb- \1 ", text, count=1)
    return replace(row, text=text)
