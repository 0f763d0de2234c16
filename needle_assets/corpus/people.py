"""Is a biography about one person? Decided from infobox keys and the first sentence.

What is said about the person (labels), and the person's name, do not belong here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from needle_assets.corpus.infoboxes import picked_fields
from needle_assets.corpus.words import word_set

_GROUPS = word_set(
    """
    band bands group supergroup duo trio quartet quintet sextet septet octet ensemble orchestra
    choir chorus collective troupe crew team squad club franchise company corporation firm label
    brand business manufacturer agency studio organisation organization association society
    partnership project collaboration act family dynasty clan tribe couple pair twins triplets
    brothers sisters siblings people outfit combo foursome threesome twosome stable corps
    subsidiary retailer airline brewery charity cooperative syndicate federation
    """
)
_INSTITUTIONS_AND_WORKS = word_set(
    """
    foundation institution institute school college university museum album song film series show
    programme program magazine newspaper book novel website list surname sitcom manga anime comic
    podcast blog channel game opera musical hospital story
    """
)
_VESSELS = word_set(
    """
    ship steamship warship battleship cruiser frigate corvette schooner brig barque sloop destroyer
    minesweeper submarine vessel boat yacht steamer ferry trawler lifeboat galleon aircraft airship
    locomotive u-boat tugboat icebreaker gunboat lightship ketch ironclad brigantine trimaran
    catamaran spacecraft
    """
)
_ANIMALS = word_set(
    """
    horse racehorse stallion mare gelding colt filly pony thoroughbred dog greyhound terrier
    retriever collie spaniel cat kitten elephant gorilla chimpanzee orangutan bear parrot dolphin
    orca whale bull cow tortoise sire broodmare standardbred sheepdog bloodhound greyhounds pigeon
    panda tiger lioness monkey ape hippopotamus rhinoceros giraffe penguin turtle shark mule
    """
)
_FICTIONS = word_set(
    "character characters superhero superheroine supervillain protagonist antagonist mascot"
)
_SIGNS_OF_LIFE = word_set(
    """
    born b. died d. january february march april may june july august september october november
    december
    """
)

_END_OF_NOUN_PHRASE = word_set(
    """
    . ; : -- - who whom whose which that where when of from in at for by on with to as during since
    until after before under over through between among against led based formed founded established
    created formerly consisting comprising comprised composed featuring fronted signed active known
    named called whose born best hailing originating playing performing currently located operating
    built launched bred owned written released whereby because but while is was are were has had
    """
)
_OPENING = frozenset({"-lrb-", "("})
_CLOSING = frozenset({"-rrb-", ")"})
_AFTERTHOUGHTS = word_set("the a an most perhaps also originally popular famous")
_RELATIVE = frozenset({"who", "whose", "which", "that", "where", "when", "whom"})
_COPULAS = frozenset({"is", "was", "are", "were", "been"})
_STANDS_FOR = frozenset({"name", "title", "series", "set", "collection", "trilogy"})
_PSEUDONYMS = frozenset({"pseudonym", "pseudonyms", "name", "nom"})

_PERSON_KEYS = word_set(
    """
    birth_date birth_place birth_name birthdate birthplace birthname date_of_birth place_of_birth
    birth_year born death_date death_place deathdate deathplace date_of_death place_of_death
    death_year spouse children alma_mater occupation
    """
)
_OTHER_KEYS = {
    "current_members": "group",
    "past_members": "group",
    "currentmembers": "group",
    "pastmembers": "group",
    "num_employees": "company",
    "members": "group",
    "headquarters": "company",
    "ground": "club",
    "ship_name": "ship",
    "ship_class": "ship",
    "ship_launched": "ship",
    "foaled": "animal",
    "breed": "animal",
    "species": "animal or fiction",
    "damsire": "animal",
    "portrayer": "fiction",
    "portrayed_by": "fiction",
    "first_appearance": "fiction",
}
_NO_VALUE = frozenset({"", "<none>"})
_GROUP_BACKGROUND = "group_or_band"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a biography is about one real person, and why, in a few words."""

    is_person: bool
    reason: str


def person_verdict(title: str, infobox: Mapping[str, str], text: str) -> Verdict:
    """Decide about one biography.

    Args:
        title: the article's title in wiki_bio's spelling, ``-lrb- band -rrb-`` included.
        infobox: its fields; only some keys matter.
        text: the biography in wiki_bio's spelling or ours; only the first sentence matters.
    """
    if infobox.get("background", "").strip() == _GROUP_BACKGROUND:
        return Verdict(False, f"infobox: background {_GROUP_BACKGROUND}")
    kind = _kind(_qualifier(title))
    if kind:
        return Verdict(False, f"title: {kind}")
    stated = {key for key, value in infobox.items() if value.strip() not in _NO_VALUE}
    born = next((key for key in infobox if key in stated and key in _PERSON_KEYS), None)
    for key, kind in _OTHER_KEYS.items():
        # A dog has a birth date too, a person has no breed.
        if key in stated and (born is None or kind.startswith("animal")):
            return Verdict(False, f"infobox: {key} ({kind})")
    return _verdict_of_text(text, born)


def _verdict_of_text(text: str, born: str | None) -> Verdict:
    words = _first_sentence(text)
    plain = _outside_brackets(words)
    copula, phrase = _predicate(plain)
    # "a solo-project" is a project; a u-boat and a singer-songwriter are words of their own.
    head = phrase.nouns[-1] if phrase.nouns else ""
    if head.endswith(("-band", "-project", "-duo", "-trio", "-group", "-team")):
        head = head.rpartition("-")[2]
    if "fictional" in phrase.nouns or head in _FICTIONS:
        return Verdict(False, "first sentence: fictional")
    for kind, nouns in (("animal", _ANIMALS), ("vessel", _VESSELS)):
        if head in nouns:
            return Verdict(False, f"first sentence: {head} ({kind})")
    if born is not None and not (copula in ("are", "were") and head in _GROUPS):
        return Verdict(True, f"infobox: {born}")
    groups = head in _GROUPS or (head in _INSTITUTIONS_AND_WORKS and phrase.follower != "of")
    if groups and (copula in ("are", "were") or not _gives_life_dates(words, copula)):
        # "( 1820 -- 12 may 1890 ) was a manufacturer" is one by trade.
        return Verdict(False, f"first sentence: {head}")
    if _shared_pseudonym(plain, phrase.nouns):
        return Verdict(False, "first sentence: pseudonym of several")
    if copula in ("are", "were"):
        return Verdict(False, f"first sentence: {copula}")
    if "born" in words or "b." in words:
        return Verdict(True, "first sentence: born")
    return Verdict(True, "first sentence: nothing against it")


def _qualifier(title: str) -> list[str]:
    inside = title.replace("-lrb-", "(").replace("-rrb-", ")").partition("(")[2].partition(")")[0]
    return inside.partition(",")[0].split()


def _kind(qualifier: list[str]) -> str | None:
    if not qualifier:
        return None
    nouns = _GROUPS | _INSTITUTIONS_AND_WORKS | _VESSELS | _ANIMALS | _FICTIONS
    if qualifier[-1] in nouns or qualifier[0] == "fictional":
        return " ".join(qualifier)
    return None


def _first_sentence(text: str) -> list[str]:
    """Its words, some 80 of them at most; a full stop that stands alone ends it."""
    words = text[:1000].partition("\n")[0].split()[:80]
    return words[: words.index(".") + 1] if "." in words else words


def _outside_brackets(words: list[str]) -> list[str]:
    if "-lrb-" not in words and "(" not in words:
        return words
    outside: list[str] = []
    depth = 0
    for word in words:
        if word in _OPENING:
            depth += 1
        elif word in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0:
            outside.append(word)
    return outside


def _gives_life_dates(words: list[str], copula: str) -> bool:
    """Whether the bracket behind the name says when the person was born or died."""
    before = words[: words.index(copula)] if copula in words else []
    return any(mark in _OPENING for mark in before) and not _SIGNS_OF_LIFE.isdisjoint(before)


class _NounPhrase(NamedTuple):
    """What the subject is said to be: "an italian pop music group", and the word after it."""

    nouns: list[str]
    follower: str


def _predicate(words: list[str]) -> tuple[str, _NounPhrase]:
    """The main form of "to be" and its noun phrase, "one of" left out; empty where none is."""
    in_relative = False
    for i, word in enumerate(words):
        if word in _RELATIVE:
            in_relative = True
        elif word in _COPULAS:
            if in_relative:
                # "john, whose parents were ..., is a": the clause's own verb is used up here.
                in_relative = False
                continue
            rest = words[i + 1 :]
            return word, _thing_named(rest[2:] if rest[:2] == ["one", "of"] else rest)
    return "", _NounPhrase([], "")


def _thing_named(words: list[str]) -> _NounPhrase:
    """The noun phrase, or what stands for it: ships in "the name of two ships of the navy"."""
    phrase = _noun_phrase(words)
    if phrase.follower == "of" and phrase.nouns and phrase.nouns[-1] in _STANDS_FOR:
        named = _noun_phrase(words[words.index("of") + 1 :])
        head = named.nouns[-1].removesuffix("s") if named.nouns else ""
        if head in _GROUPS | _INSTITUTIONS_AND_WORKS | _VESSELS | _ANIMALS | _FICTIONS:
            return _NounPhrase([*named.nouns[:-1], head], "")
    return phrase


def _noun_phrase(words: list[str]) -> _NounPhrase:
    """The words up to the preposition, clause or afterthought that ends the phrase.

    The last of them is the head: group in "an italian pop music group", gymnast in "a group
    rhythmic gymnast", drummer in "a drummer of the band", actor in "a film , stage and
    television actor". "a seattle , washington based band" goes on behind "based".
    """
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else "."
        if word == "based" and following not in _END_OF_NOUN_PHRASE:
            continue
        if word in _END_OF_NOUN_PHRASE or (
            word in (",", "and") and following in _END_OF_NOUN_PHRASE | _AFTERTHOUGHTS
        ):
            return _NounPhrase(_split_slashes(words[:i]), word)
    return _NounPhrase(_split_slashes(words), "")


def _split_slashes(words: list[str]) -> list[str]:
    """Slashes join nouns: "a punk rock/reggae/ska band", "a singer/songwriter"."""
    if "/" not in "".join(words):
        return words
    return [part for word in words for part in word.split("/")]


def _shared_pseudonym(sentence: list[str], phrase: list[str]) -> bool:
    """Whether the name is a pseudonym that several people write under."""
    start = phrase[:6]
    if not _PSEUDONYMS.intersection(start):
        return False
    if "name" in start and not {"pen", "stage", "collective"}.intersection(start):
        return False
    return bool({"team", "duo", "trio", "collective", "they", "both"}.intersection(sentence))


def person_verdicts(raw: pa.Table) -> tuple[pa.Array, pa.Array]:
    """``person_verdict`` for each row of a table with the columns of ``RAW_SCHEMA``.

    Returns:
        The columns ``is_person`` (bool) and ``person_reason`` (string), in the table's order.
    """
    boxes = picked_fields(raw["infobox"], _decides)
    verdicts = [
        person_verdict(title, box, text)
        for title, box, text in zip(
            raw["title"].to_pylist(), boxes, raw["text"].to_pylist(), strict=True
        )
    ]
    return (
        pa.array([verdict.is_person for verdict in verdicts], pa.bool_()),
        pa.array([verdict.reason for verdict in verdicts], pa.string()),
    )


def _decides(key: str) -> bool:
    return key in _PERSON_KEYS or key in _OTHER_KEYS or key == "background"
