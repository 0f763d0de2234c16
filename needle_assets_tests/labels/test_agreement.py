"""The second, simple reading of stated nationalities."""

import pyarrow as pa
import pytest

from needle_assets.labels.agreement import stated_nationalities, with_agreement
from needle_assets.labels.task import LabelError


@pytest.mark.parametrize(
    ("bio", "stated"),
    [
        ("jane roe ( born 1970 ) is a french chemist .", ("French",)),
        ("jane roe was an english stage actress . she was irish .", ("English",)),
        ("jane roe is a cuban-spanish boxer .", ("Cuban", "Spanish")),
        ("jane roe is a new zealand poet .", ("New Zealander",)),
        ("jane roe is an american football coach .", ()),
        ("jane roe is a swiss-born poet .", ()),
        ("jane roe is a member of the polish academy .", ()),
        ("jane roe wrote .", ()),
        ("", ()),
    ],
)
def test_stated_nationalities(bio: str, stated: tuple[str, ...]) -> None:
    assert stated_nationalities(bio) == stated


def test_with_agreement_joins_by_id_and_leaves_the_unstated_null() -> None:
    bios = pa.table(
        {
            "bio_id": ["a", "b", "c", "d"],
            "name": ["w", "x", "y", "z"],
            "bio": [
                "w is a french poet .",
                "x is an english poet .",
                "y is a poet .",
                "z is a welsh poet .",
            ],
        }
    )
    labels = pa.table(
        {"bio_id": ["d", "c", "b", "a"], "nationality": ["unknown", "Thai", "British", "French"]}
    )
    joined = with_agreement(labels, bios)
    assert joined["bio"].to_pylist()[0] == "z is a welsh poet ."
    assert joined["stated_nationality"].to_pylist() == ["Welsh", None, "English", "French"]
    assert joined["agreement"].to_pylist() == ["contradicts", None, "agrees", "agrees"]


def test_a_label_without_its_biography_is_named() -> None:
    bios = pa.table({"bio_id": ["a"], "name": ["x"], "bio": ["x is a poet ."]})
    labels = pa.table({"bio_id": ["a", "q"], "nationality": ["Thai", "Thai"]})
    with pytest.raises(LabelError, match="1 labels have no biography .*'q'"):
        with_agreement(labels, bios)
