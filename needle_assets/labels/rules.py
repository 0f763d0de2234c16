"""Labels biographies by rules written from the language: no model, no network, no randomness.

The label says what the text states, since a model that is asked sees the text alone. An infobox
is a second opinion: it never adds a fact, it decides where the text leaves a choice. How labelers
are compared does not belong here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import pyarrow as pa

from needle_assets.labels import dates, roles
from needle_assets.labels.biography import (
    BIOGRAPHY_TASK,
    NO_DATE,
    UNKNOWN,
    Biography,
    PartialDate,
)
from needle_assets.labels.infobox import NO_FACTS, InfoboxFacts, infobox_facts, quoted
from needle_assets.labels.lead import Lead, take_apart, words
from needle_assets.labels.nationality import Basis, find_nationality
from needle_assets.labels.tables import Audit, labels_table, require_columns

LABELER = "rules"

Infobox = Mapping[str, str | None]


@dataclass(frozen=True)
class LabeledBio:
    """A label with what it rests on."""

    label: Biography
    nationality_basis: Basis
    second_nationality: str
    """The nationality named beside the label's ("iranian australian": Iranian), or empty."""
    evidence: tuple[str, ...]
    """The words that the facts were read from, as ``field: words``; what an infobox decided is
    followed by its lines, as ``infobox: key = value``."""


class _Box:
    """An infobox that is read only when the text leaves a choice, which few texts do."""

    def __init__(self, read: Callable[[], Infobox | None]) -> None:
        self._read = read
        self.was_asked_for_dates = False

    @cached_property
    def facts(self) -> InfoboxFacts:
        infobox = self._read()
        return infobox_facts(infobox) if infobox else NO_FACTS

    def life(self) -> dates.Life:
        self.was_asked_for_dates = True
        return dates.Life(self.facts.birth, self.facts.death)

    def nationalities(self) -> tuple[str, ...]:
        return self.facts.nationalities

    def quoted(self, facts: str) -> list[str]:
        """The lines that state a nationality, dates or a role."""
        return quoted(self.facts, facts)


_LONGEST_LIFE = 125
"""Years; the longest documented life is 122."""

# "kim roe is the pen name of ann roe ( born 1950 )": the bracket is still about the person.
_ALIAS = ("pen name", "pseudonym", "stage name", "alias", "nom de")
# "jane roe , mayor from 3 may 1950 , was": dates of other things.
_TERMS = words("from since until between mayor king queen bishop president elected appointed")
_OTHERS = words("of by with for from to his her who whose")


def label_bio(name: str, bio: str, infobox: Infobox | None = None) -> LabeledBio:
    """Label one biography of one person.

    Of two nationalities named together the last is the label's, as in "cuban-spanish boxer". The
    infobox, where there is one, decides between

    - day and month of "3/4/1950";
    - two dates of birth, or of death, that the text states in full and in different places;
    - nationalities that are not named together ("an irish peer and british politician", a
      birthplace and a team);
    - whether a text that speaks of sport or politics, but in no words known to the rules, makes
      its person a sportsperson or a politician.
    """
    return _label(name, bio, _Box(lambda: infobox))


def count_facts(name: str, bio: str, enough: int = 5) -> int:
    """How many facts a text states: nationality, birth, death, sportsperson, politician.

    A date is a fact where any part of it is stated; being neither sportsperson nor politician is
    none. Counting stops at ``enough``, the cheapest facts first.
    """
    lead = take_apart(name, bio)
    life, _ = _life(lead, dates.no_opinion, _said(lead, dates.no_opinion))
    facts = (life.birth != NO_DATE) + (life.death != NO_DATE)
    if facts < enough:
        year = life.death.year or life.birth.year
        nationality = find_nationality(lead, _NO_BOX.nationalities, year)
        facts += nationality.name != UNKNOWN
    if facts < enough:
        facts += sum(roles.find_roles(lead))
    return min(facts, enough)


def label_table(bios: pa.Table) -> pa.Table:
    """Label biographies (columns ``bio_id``, ``name``, ``bio``), one row each, in their order.

    A column ``infobox`` (map of string to string, null where there is none) is used as `label_bio`
    says; without it the texts alone are. The columns are those of `tables.label_schema`. Each row
    is labelled by itself, so that the table may be cut anywhere (`needle_assets.batches`).

    Raises:
        LabelError: a column is missing or has a null.
    """
    require_columns(bios)
    names, texts = bios["name"].to_pylist(), bios["bio"].to_pylist()
    if "infobox" in bios.column_names:
        infoboxes = bios["infobox"].combine_chunks()
        found = [
            _label(name, bio, _Box(partial(_infobox, infoboxes, row)))
            for row, (name, bio) in enumerate(zip(names, texts, strict=True))
        ]
    else:
        found = [_label(name, bio, _NO_BOX) for name, bio in zip(names, texts, strict=True)]
    return labels_table(
        BIOGRAPHY_TASK,
        bios,
        [item.label for item in found],
        LABELER,
        [
            Audit(item.nationality_basis, item.second_nationality, "; ".join(item.evidence))
            for item in found
        ],
    )


def _infobox(infoboxes: pa.Array, row: int) -> Infobox:
    return dict(infoboxes[row].as_py() or ())


_NO_BOX = _Box(lambda: None)


_Said = tuple[str, dates.Life]
"""A sentence and the dates that it states."""


def _said(lead: Lead, opinion: dates.SecondOpinion) -> Iterator[_Said]:
    """The sentences about the person that state any date, in the text's order."""
    for sentence in (lead.first, *lead.about):
        life = dates.in_sentence(sentence, opinion)
        if life is not dates.NO_LIFE:
            yield sentence, life


class _Told:
    """The same, to be gone through more than once: each sentence is read when it is needed."""

    def __init__(self, lead: Lead, opinion: dates.SecondOpinion) -> None:
        self._unread = _said(lead, opinion)
        self._read: list[_Said] = []

    def __iter__(self) -> Iterator[_Said]:
        yield from self._read
        for said in self._unread:
            self._read.append(said)
            yield said


def _life(
    lead: Lead, opinion: dates.SecondOpinion, told: Iterable[_Said]
) -> tuple[dates.Life, str]:
    """The dates, and the words that state them, where they stand surest."""
    life, evidence = dates.NO_LIFE, ""
    for bracket in lead.brackets:
        life = dates.in_bracket(bracket, opinion)
        if life is not dates.NO_LIFE:
            evidence = bracket
            break
    if not (life.birth.day and life.death.day):
        for sentence, said in told:
            fuller = dates.Life(
                # A day of baptism is no day of birth.
                _fuller(life.birth, said.birth, days="born" in sentence),
                _fuller(life.death, said.death),
            )
            if fuller == life:
                continue
            life = fuller
            evidence = f"{evidence} ... {sentence.strip()}" if evidence else sentence.strip()
            if life.birth.day and life.death.day:
                break
    if not evidence:
        life, evidence = _elsewhere(lead, opinion)
    birth, death = life
    if birth.year and death.year and not 0 <= death.year - birth.year <= _LONGEST_LIFE:
        life = dates.Life(birth, NO_DATE)
    return life, evidence


def _fuller(known: PartialDate, said: PartialDate, days: bool = True) -> PartialDate:
    """The date known, or what a sentence adds: "( 1774 -- 1841 ) ... died on 12 february 1841".

    Without ``days`` a sentence adds nothing to a year.
    """
    if known is NO_DATE:
        return said
    adds = days and said.day and not known.day and said.year == known.year
    return said if adds and known.month in (0, said.month) else known


def _elsewhere(lead: Lead, opinion: dates.SecondOpinion) -> tuple[dates.Life, str]:
    """Dates in a bracket after the predicate, or beside the name without any bracket."""
    for bracket, before in lead.later_brackets:
        if not dates.says_whose(bracket):
            continue
        if _OTHERS.isdisjoint(before.split()) or any(alias in before for alias in _ALIAS):
            life = dates.in_bracket(bracket, opinion)
            if life is not dates.NO_LIFE:
                return life, bracket
    if lead.subject is not lead.first and _TERMS.isdisjoint(lead.subject.split()):
        # "jane roe , 4 october 1720 in brno , was"; a year alone may be one of office.
        life = dates.Life(
            *(
                date if date.day and date.year else NO_DATE
                for date in dates.in_bracket(lead.subject, opinion)
            )
        )
        if life != dates.NO_LIFE:
            return life, lead.subject.strip()
    return dates.NO_LIFE, ""


def _chosen(life: dates.Life, told: Iterable[_Said], opinion: dates.SecondOpinion) -> dates.Life:
    """Of two dates that the text states in different places, the one of the second opinion."""
    births = [said.birth for _, said in told if said.birth.day and said.birth != life.birth]
    deaths = [said.death for _, said in told if said.death.day and said.death != life.death]
    if not births and not deaths:
        return life
    birth, death = opinion()
    return dates.Life(
        birth if birth in births else life.birth, death if death in deaths else life.death
    )


def _label(name: str, bio: str, box: _Box) -> LabeledBio:
    lead = take_apart(name, bio)
    told = _Told(lead, box.life)
    life, life_evidence = _life(lead, box.life, told)
    year = life.death.year or life.birth.year
    nationality = find_nationality(lead, box.nationalities, year)
    role = roles.find_roles(lead)
    evidence = []
    if nationality.evidence:
        evidence.append(f"nationality: {nationality.evidence}")
    if nationality.decided:
        evidence.extend(box.quoted("nationality"))
    if life_evidence:
        evidence.append(f"dates: {life_evidence}")
    if box is not _NO_BOX:
        by_text = life
        if box.was_asked_for_dates:
            by_text, _ = _life(lead, dates.no_opinion, _said(lead, dates.no_opinion))
        life = _chosen(life, told, box.life)
        if life != by_text:
            evidence.extend(box.quoted("dates"))
    sportsperson, politician = role
    if box is not _NO_BOX and not (sportsperson and politician):
        sport, politics = roles.hints(lead)
        if sport and not sportsperson and box.facts.sportsperson:
            sportsperson = True
            evidence += [f"sportsperson: {sport}", *box.quoted("sportsperson")]
        if politics and not politician and box.facts.politician:
            politician = True
            evidence += [f"politician: {politics}", *box.quoted("politician")]
    label = Biography(
        nationality=nationality.name,
        date_of_birth=life.birth,
        date_of_death=life.death,
        sportsperson=sportsperson,
        politician=politician,
    )
    return LabeledBio(label, nationality.basis, nationality.second, tuple(evidence))
