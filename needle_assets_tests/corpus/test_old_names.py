"""The old name as title and infobox give it: its parts, and the words that must not remain."""

import pytest

from needle_assets.corpus.old_names import FAMILY, FULL, GIVEN, OldName, is_name_field


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("nora quell", {"nora": GIVEN, "quell": FAMILY}),
        ("nora jane quell -lrb- poet -rrb-", {"nora": GIVEN, "jane": GIVEN, "quell": FAMILY}),
        ("piet van der quell", {"piet": GIVEN, "quell": FAMILY}),
        ("n. j. quell", {"quell": FAMILY}),
        ("sir tom quell , 2nd baronet", {"tom": GIVEN, "quell": FAMILY}),
        ("tom quell , jr.", {"tom": GIVEN, "quell": FAMILY}),
        ("tamar of quellia", {"tamar": GIVEN}),
        ("Álvaro quéll", {"alvaro": GIVEN, "quell": FAMILY}),
        ("nora quell-vance",
         {"nora": GIVEN, "quell-vance": FAMILY, "quell": FAMILY, "vance": FAMILY}),
        ("quell", {"quell": GIVEN}),
        # "y" joins two surnames.
        ("juan quell y vance", {"juan": GIVEN, "quell": FAMILY, "vance": FAMILY}),
    ],
)  # fmt: skip
def test_parts_of_a_title(title: str, parts: dict[str, int]) -> None:
    assert OldName.of(title, {}).parts == parts


@pytest.mark.parametrize(
    "title",
    ["", "j. p.", "1234", "\N{GRINNING FACE}", "-lrb- band -rrb-", "--", "-lrb- -lrb- x -rrb-"],
)
def test_titles_without_a_name(title: str) -> None:
    assert not OldName.of(title, {"name": "<none>"}).parts


@pytest.mark.parametrize(
    ("title", "infobox", "required"),
    [
        # Every word of three letters or more, of whatever kind: who looks for traces looks so.
        ("sir tom van quell", {}, {"sir", "tom", "van", "quell"}),
        ("will of the isle -lrb- poet -rrb-", {}, {"will", "the", "isle"}),
        ("bo ng", {"name": "bo 李四光"}, {"李四光"}),
        ("nora quell", {"name": "the lord vance iii"},
         {"nora", "quell", "the", "lord", "vance", "iii"}),
        ("nora quell", {"name": "<none>"}, {"nora", "quell"}),
        ("nora quell", {"nickname": "the king"}, {"nora", "quell", "the", "king"}),
        ("nora quell", {"birth_name": "ada vance -lrb- later brandt -rrb-"},
         {"nora", "quell", "ada", "vance", "brandt"}),
    ],
)  # fmt: skip
def test_words_that_must_not_remain(
    title: str, infobox: dict[str, str], required: set[str]
) -> None:
    assert OldName.of(title, infobox).required == required


def test_traces_are_found_without_accents_and_inside_compounds() -> None:
    old = OldName.of("nora quell", {})
    assert old.remains_in("a Quéll-like poem")
    assert not old.remains_in("she quelled a norad riot")


def test_maiden_names_are_family_names() -> None:
    old = OldName.of("nora quell", {"birth_name": "née vance", "maiden_name": "brandt"})
    assert old.parts["vance"] == old.parts["brandt"] == FAMILY
    assert OldName.of("nora quell", {"name": "nora quell ( née vance )"}).parts["vance"] == FAMILY


def test_a_whole_form_is_a_phrase_and_the_longest_comes_first() -> None:
    old = OldName.of("nora quell", {"fullname": "nora jane quell"})
    assert old.phrases == {"nora": [(("nora", "jane", "quell"), FULL), (("nora", "quell"), FULL)]}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("name", True),
        ("birth_name", True),
        ("birthname", True),
        ("monarch|name", True),
        ("other_names", True),
        ("playername", True),
        ("stage_name", True),
        ("also known as", True),
        ("name2", True),
        ("native_name_lang", False),
        ("birth_date", False),
        ("subject_name", True),
        ("teamname", False),
        ("spouse_name", False),
        ("othertournaments", False),
        ("imagename", False),
        ("known_for", False),
    ],
)
def test_infobox_keys_that_hold_names(key: str, expected: bool) -> None:
    assert is_name_field(key) is expected
