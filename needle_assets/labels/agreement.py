"""Whether labels agree with what other sources say of the same person.

The other sources are the rules (for a language model's labels), the infobox, and a second,
deliberately simple reading of the text, which shares no code with the rule labeler but the list of
demonyms, so that it can catch the labelers' mistakes. How labels are found does not belong here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.labels import nationalities
from needle_assets.labels.biography import BIOGRAPHY_TASK, UNKNOWN, PartialDate
from needle_assets.labels.infobox import InfoboxFacts, infobox_facts
from needle_assets.labels.rules import label_table
from needle_assets.labels.tables import require_columns, rows_of

AGREES = "agrees"
CONTRADICTS = "contradicts"
ALONE = "alone"

RULES = "rules"
INFOBOX = "infobox"
TEXT = "text"
SOURCES = (RULES, INFOBOX, TEXT)
"""Whom a label is compared with, in the order in which disputes are listed."""

DISPUTED = pa.list_(
    pa.struct([("field", pa.string()), ("source", pa.string()), ("says", pa.string())])
)
"""Type of the column ``disputed``: a leaf's column name, the source, and what it says instead."""

_NATIONALITY = "nationality"
_DATES = ("date_of_birth", "date_of_death")
_FLAGS = ("sportsperson", "politician")

_SAID = re.compile(
    r"\b(?:is|was|are|were) (?:an?|the)\s(.{1,90}?)"
    r"(?=\s(?:who|whose|which|that|of|for|from|in|at|with|by|on|as|to)\s|\s[.;(,]\s|\.?\s*$)"
)
_FIRST_SENTENCE = re.compile(r"(?:(?!\s\.(?:\s|$)|\n).){0,600}", re.DOTALL)
# Sports and churches named for a nation say nothing of their people.
_NAMES_OF_THINGS = re.compile(
    r"\b(?:american|canadian|australian rules) (?=football)|\b\w+ (?=orthodox)|\bmuay thai\b"
)
_COMPOUND = re.compile(r"[/-]")


def stated_nationalities(bio: str) -> tuple[str, ...]:
    """Nationalities whose demonym stands in "is a ..." of the first sentence, in text order."""
    sentence = _FIRST_SENTENCE.match(bio)
    said = _SAID.search(sentence.group()) if sentence else None
    if said is None:
        return ()
    tokens = _NAMES_OF_THINGS.sub("", said[1]).split()
    found = [mention.nationality for mention in nationalities.DEMONYMS.find(tokens)]
    if not found:
        parts = [
            part for token in tokens for part in _COMPOUND.split(token) if "-born" not in token
        ]
        found = [mention.nationality for mention in nationalities.DEMONYMS.find(parts)]
    return tuple(dict.fromkeys(found))


class Stated(NamedTuple):
    """What one source says about one field, for some of the labels."""

    field: str
    source: str
    rows: npt.NDArray[np.int64]
    """Positions of the labels that it can be compared with: both state something."""
    differs: npt.NDArray[np.bool_]
    """For each of them, whether it says something else than the label."""
    says: Sequence[str]
    """For each of them, what it says."""


def compare(labels: pa.Table, *, rules: pa.Table | None, bios: pa.Table) -> pa.Table:
    """Add to a label table the columns ``agreement`` and ``disputed``.

    ``agreement`` (string) is ``agrees`` where every other source that says something says the
    same, ``contradicts`` where one says something else, and ``alone`` where there is none.
    ``disputed`` (`DISPUTED`) lists what other sources say instead.

    A label says what its text states. So an infobox contradicts a nationality or a part of a date
    only where the label states one too; a yes or no is stated always. The rules and the second
    reading read the same text: what they find and the label lacks is a contradiction.

    A label without ``evidence`` gets what the rules read, as "rules: ...".

    Args:
        labels: a label table (`tables.label_schema`), in any order.
        rules: the rules' label table of the same biographies; None where ``labels`` is theirs.
        bios: ``bio_id``, ``name``, ``bio``, and ``infobox`` (map of strings) where there is one.

    Raises:
        LabelError: a column is missing, or a label has no biography or no label by rules.
    """
    require_columns(bios)
    rows = rows_of(labels, bios, "biography")
    disputes: list[tuple[int, str, str, str]] = []
    heard = np.zeros(labels.num_rows, dtype=bool)
    contradicted = np.zeros(labels.num_rows, dtype=bool)
    for stated in _all_stated(labels, rules, bios, rows):
        heard[stated.rows] = True
        contradicted[stated.rows[stated.differs]] = True
        disputes.extend(
            (int(stated.rows[at]), stated.field, stated.source, stated.says[at])
            for at in np.flatnonzero(stated.differs).tolist()
        )
    agreement = np.where(contradicted, CONTRADICTS, np.where(heard, AGREES, ALONE))
    if rules is not None:
        labels = _with_evidence(labels, rules)
    return labels.append_column("agreement", pa.array(agreement, pa.string())).append_column(
        "disputed", _listed(disputes, labels.num_rows)
    )


def compared_rule_labels(bios: pa.Table) -> pa.Table:
    """Label by rules and compare, as a batch function (`needle_assets.batches`).

    Raises:
        LabelError: a column is missing or has a null.
    """
    return compare(label_table(bios), rules=None, bios=bios)


def with_agreement(labels: pa.Table, bios: pa.Table) -> pa.Table:
    """Add to a label table what its texts state, for the check of nationalities.

    ``bio`` is joined by ``bio_id``; ``stated_nationality`` holds the stated ones, parted by
    ", " (null where there is none); ``nationality_agreement`` is ``agrees`` or ``contradicts``
    (null as well).

    Raises:
        LabelError: a column is missing, or a labelled biography is not in ``bios``.
    """
    require_columns(bios)
    texts = bios["bio"].take(rows_of(labels, bios, "biography"))
    stated = [stated_nationalities(bio) for bio in texts.to_pylist()]
    agreement = [
        (AGREES if _agrees(label, found) else CONTRADICTS) if found else None
        for label, found in zip(labels[_NATIONALITY].to_pylist(), stated, strict=True)
    ]
    return (
        labels.append_column("bio", texts)
        .append_column(
            "stated_nationality", pa.array([", ".join(s) or None for s in stated], pa.string())
        )
        .append_column("nationality_agreement", pa.array(agreement, pa.string()))
    )


def _agrees(label: str, stated: Sequence[str]) -> bool:
    return any(nationalities.agree(label, one) for one in stated)


def _all_stated(
    labels: pa.Table, rules: pa.Table | None, bios: pa.Table, rows: pa.Array
) -> Iterator[Stated]:
    if rules is not None:
        yield from _by_rules(labels, rules.take(rows_of(labels, rules, "label by rules")))
    nationality = labels[_NATIONALITY].to_pylist()
    if "infobox" in bios.column_names:
        boxes = bios["infobox"].take(rows).to_pylist()
        yield from _by_infobox(labels, nationality, [infobox_facts(dict(b or ())) for b in boxes])
    texts = bios["bio"].take(rows).to_pylist()
    yield _nationality(TEXT, nationality, [stated_nationalities(bio) for bio in texts])


def _with_evidence(labels: pa.Table, rules: pa.Table) -> pa.Table:
    read = rules["evidence"].take(rows_of(labels, rules, "label by rules"))
    theirs = pc.if_else(pc.equal(read, ""), "", pc.binary_join_element_wise(f"{RULES}: ", read, ""))
    evidence = pc.if_else(pc.equal(labels["evidence"], ""), theirs, labels["evidence"])
    at = labels.column_names.index("evidence")
    return labels.set_column(at, labels.schema.field(at), evidence)


def _by_rules(labels: pa.Table, rules: pa.Table) -> Iterator[Stated]:
    everything = np.arange(labels.num_rows)
    for name in BIOGRAPHY_TASK.leaf_names:
        differs = pc.not_equal(labels[name], rules[name]).to_numpy()
        says = rules[name].to_pylist()
        if name == _NATIONALITY:
            # An English person and a British one agree.
            mine = labels[name].to_pylist()
            for at in np.flatnonzero(differs).tolist():
                differs[at] = not nationalities.agree(mine[at], says[at])
        yield Stated(name, RULES, everything, differs, [_written(value) for value in says])


def _by_infobox(
    labels: pa.Table, nationality: Sequence[str], facts: Sequence[InfoboxFacts]
) -> Iterator[Stated]:
    # A label without a nationality says that the text states none, whatever the infobox knows.
    yield _nationality(
        INFOBOX,
        nationality,
        [
            fact.nationalities if label != UNKNOWN else ()
            for label, fact in zip(nationality, facts, strict=True)
        ],
    )
    for name, dates in zip(
        _DATES, ([fact.birth for fact in facts], [fact.death for fact in facts]), strict=True
    ):
        for part in PartialDate.model_fields:
            said = np.fromiter((getattr(date, part) for date in dates), np.int64, len(dates))
            mine = labels[f"{name}_{part}"].to_numpy()
            both = np.flatnonzero((said != 0) & (mine != 0))
            yield Stated(
                f"{name}_{part}",
                INFOBOX,
                both,
                said[both] != mine[both],
                [str(value) for value in said[both].tolist()],
            )
    for name in _FLAGS:
        flags = [getattr(fact, name) for fact in facts]
        rows = np.array([at for at, flag in enumerate(flags) if flag is not None], np.int64)
        said = np.array([flags[at] for at in rows.tolist()], dtype=bool)
        mine = labels[name].to_numpy()[rows]
        yield Stated(name, INFOBOX, rows, said != mine, [_written(flag) for flag in said.tolist()])


def _nationality(source: str, labels: Sequence[str], stated: Sequence[tuple[str, ...]]) -> Stated:
    rows = np.array([at for at, names in enumerate(stated) if names], np.int64)
    differs = [not _agrees(labels[at], stated[at]) for at in rows.tolist()]
    return Stated(
        _NATIONALITY,
        source,
        rows,
        np.array(differs, dtype=bool),
        [", ".join(stated[at]) for at in rows.tolist()],
    )


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_ORDER: Mapping[str, int] = {
    name: at for at, name in enumerate((*SOURCES, *BIOGRAPHY_TASK.leaf_names))
}


def _listed(disputes: list[tuple[int, str, str, str]], rows: int) -> pa.Array:
    """The disputes as a column: by row, in each by source and then by the schema's field order."""
    disputes.sort(key=lambda one: (one[0], _ORDER[one[2]], _ORDER[one[1]]))
    counts = np.bincount([row for row, *_ in disputes], minlength=rows)
    items = pa.StructArray.from_arrays(
        [
            pa.array([one[at] for one in disputes], pa.string())
            for at in range(1, 1 + DISPUTED.value_type.num_fields)
        ],
        fields=list(DISPUTED.value_type),
    )
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items, type=DISPUTED)
