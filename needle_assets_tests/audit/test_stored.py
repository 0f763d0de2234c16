"""Stored labels against hand labels of the same biographies, whatever their people are called."""

import pyarrow as pa

from needle_assets.audit.gold import GoldRow, Score
from needle_assets.audit.stored import stored_accuracy
from needle_assets.labels.biography import PartialDate
from needle_assets.labels.rules import label_table


def by_hand(name: str, text: str, nationality: str, year: int) -> GoldRow:
    return GoldRow(
        name=name,
        bio=f"{name} {text}",
        person=True,
        nationality=nationality,
        date_of_birth=PartialDate(year=year),
        date_of_death=PartialDate(),
        sportsperson=False,
        politician=False,
    )


BIOS = pa.table(
    {
        "bio_id": ["a", "b", "c"],
        "name": ["zoe harlin", "tom lund", "eve ash"],
        "bio": [
            "zoe harlin ( born 1950 ) is a french painter . harlin lives in lyon .",
            "tom lund ( born 1960 ) is a danish poet .",
            "eve ash ( born 1970 ) is a dutch nurse .",
        ],
    }
)


def test_labels_are_compared_where_the_text_is_the_same() -> None:
    rows = [
        by_hand(
            "ann roe", "( born 1950 ) is a french painter . roe lives in lyon .", "French", 1950
        ),
        by_hand("max ohm", "( born 1960 ) is a danish poet .", "Danish", 1961),
        by_hand("sue fox", "( born 1980 ) is a baker of another corpus .", "unknown", 1980),
    ]
    found = stored_accuracy(rows, label_table(BIOS), BIOS)
    # The second one's year is another one by hand; the third biography is not there.
    assert (found.all_fields, found.dates) == (Score(1, 2), Score(1, 2))


def test_what_got_no_label_is_left_out() -> None:
    rows = [by_hand("max ohm", "( born 1960 ) is a danish poet .", "Danish", 1960)]
    assert stored_accuracy(rows, label_table(BIOS).slice(0, 1), BIOS).all_fields == Score(0, 0)
