"""Where a person is named: every form of the name, and no word that only looks like it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.corpus.mentions import Biography, OldName, fold, is_name_field, plain_text
from needle_assets.corpus.names import NewName, word_set

NEW = NewName("zoe", "", "harlin")


def renamed(title: str, text: str, **infobox: str) -> str | None:
    """The text under the name "zoe harlin", or None where a word of the old name remains."""
    old = OldName.of(title, infobox)
    biography = Biography(plain_text(text), old)
    bio = biography.rewritten(biography.mentions(), NEW)
    return None if old.remains_in(bio) else bio


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        # The whole name, a given name alone, a surname alone, possessives.
        (
            "nora quell",
            "nora quell is a poet . nora 's first book made quell famous . it is quell 's best .",
            "zoe harlin is a poet . zoe 's first book made harlin famous . it is harlin 's best .",
        ),
        # Middle names, initials and nicknames that neither title nor infobox has.
        ("tod quell", 'george edwin `` tod \'\' quell is a poet .', "zoe harlin is a poet ."),
        ("n. b. quell", "nora beatrix quell is a poet . n. b. quell sings .",
         "zoe harlin is a poet . zoe harlin sings ."),
        ("ed quell", "edward grey quell is a poet . edward sings .",
         "zoe harlin is a poet . zoe sings ."),
        ("nora quell", "nora quell vance -lrb- born 1950 -rrb- is a poet . vance sings .",
         "zoe harlin ( born 1950 ) is a poet . harlin sings ."),
        # A bracket in the title is no part of the name.
        ("nora quell -lrb- poet -rrb-", "nora quell is a poet .", "zoe harlin is a poet ."),
        # Particles, double and hyphenated surnames, accents.
        ("piet van quell", "piet van quell is a poet . van quell sings , and quell dances .",
         "zoe harlin is a poet . harlin sings , and harlin dances ."),
        ("nora quell-vance", "nora quell-vance is a poet . vance sings . ex-vance fans",
         "zoe harlin is a poet . harlin sings . ex-harlin fans"),
        ("ernest quell", "ernest quell , later egri-quell , is a poet .",
         "zoe harlin , later egri-harlin , is a poet ."),
        ("Álvaro quéll", "álvaro quell is a poet . quéll and alvaro sing .",
         "zoe harlin is a poet . harlin and zoe sing ."),
        # Rank, title and honours around the name.
        ("nora quell", "vice admiral dame nora quell dbe is a sailor .",
         "vice admiral dame zoe harlin dbe is a sailor ."),
        ("sir tom quell , 2nd baronet", "sir tom hill quell , 2nd baronet , was a poet .",
         "zoe harlin , was a poet ."),
        ("tom quell ii", "tom quell ii is a poet .", "zoe harlin is a poet ."),
        # Names that the text introduces.
        ("nora quell",
         "nora quell -lrb- born ada vance ; 1 may 1950 -rrb- is a poet . vance sings .",
         "zoe harlin ( born zoe harlin ; 1 may 1950 ) is a poet . harlin sings ."),
        ("nora quell", "nora quell -lrb- nom de guerre lojka -rrb- was a spy . lojka sings .",
         "zoe harlin ( nom de guerre zoe ) was a spy . zoe sings ."),
        ("nora quell", "nora quell -lrb- born in ghent -rrb- is a poet .",
         "zoe harlin ( born in ghent ) is a poet ."),
        ("nora quell", "nora quell , known as `` the perfect storm '' , is a poet .",
         'zoe harlin , known as " the perfect storm " , is a poet .'),
        ("nora quell", "nora quell or nora kwell is a poet .",
         "zoe harlin or zoe harlin is a poet ."),
        # Relatives share the surname.
        ("nora quell", "nora quell is a poet and the sister of ada quell .",
         "zoe harlin is a poet and the sister of ada harlin ."),
        # Native spellings and their transcriptions leave the bracket.
        ("liu quell",
         "liu quell -lrb- chinese : 刘殿座 ; pinyin : `` liú quéll '' ; born 1950 -rrb- sings .",
         "zoe harlin ( born 1950 ) sings ."),
        ("nora quell", "nora quell -lrb- 宮城野 錦之助 , 1744 - 1798 -rrb- was a poet .",
         "zoe harlin ( 1744 - 1798 ) was a poet ."),
        ("nora quell", "nora quell -lrb- -rrb- -lrb- ; born 1950 -rrb- is a poet .",
         "zoe harlin ( born 1950 ) is a poet ."),
        # The first mention becomes the whole name where no other is.
        ("nora quell", "in 1950 , quell wrote a poem .", "in 1950 , zoe harlin wrote a poem ."),
        ("quellina", "quellina is a singer . quellina sings .",
         "zoe harlin is a singer . zoe sings ."),
    ],
)  # fmt: skip
def test_every_form_of_the_name_is_replaced(title: str, text: str, expected: str) -> None:
    assert renamed(title, text) == expected


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("tom will", "tom will is a poet . he will sing . will was late . will 's song is long .",
         "zoe harlin is a poet . he will sing . harlin was late . harlin 's song is long ."),
        ("ruth may", "ruth may -lrb- 3 may 1950 -rrb- is a poet . may sang in may 1970 .",
         "zoe harlin ( 3 may 1950 ) is a poet . harlin sang in may 1970 ."),
        ("john young", "john young is a poet . olivia young sings . in 1990 young moved .",
         "zoe harlin is a poet . olivia harlin sings . in 1990 harlin moved ."),
        ("ann king", "ann king is a poet . king would sing . mr. king left . hear of king 's art .",
         "zoe harlin is a poet . harlin would sing . mr. harlin left . hear of harlin 's art ."),
    ],
)  # fmt: skip
def test_ordinary_words_are_replaced_only_where_they_are_the_name(
    title: str, text: str, expected: str
) -> None:
    assert renamed(title, text) == expected


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("ann cape", "ann cape is a poet from the eastern cape ."),
        ("ann king", "ann king is a poet who met the king of spain ."),
        ("ann young", "ann young is a poet who writes for young people ."),
        ("ann lincoln", "ann lincoln was born in lincoln , england ."),
        ("ann quell", "ann quell was born in quell , near ghent ."),
        ("ann quell", "ann quell teaches at quell university ."),
        ("tamar of georgia", "tamar of georgia was the queen of georgia ."),
    ],
)
def test_a_word_of_the_name_that_means_something_else_makes_the_row_unusable(
    title: str, text: str
) -> None:
    assert renamed(title, text) is None


def test_infobox_forms_are_replaced_too() -> None:
    text = (
        "tempo is a rapper . david quell was born in ghent . nicknamed `` the perfect storm '' , "
        "he is lojka to his friends ."
    )
    bio = renamed(
        "tempo -lrb- rapper -rrb-",
        text,
        birth_name="david -lrb- b. d. -rrb- quell",
        nickname="the perfect storm ; lojka",
        other_names="<none>",
    )
    assert bio == (
        'zoe harlin is a rapper . zoe harlin was born in ghent . nicknamed " zoe " , '
        "he is zoe to his friends ."
    )


def test_a_native_name_of_the_infobox_must_not_remain() -> None:
    text = "liu quell is a poet . the poem 刘殿座颂 is known ."
    assert renamed("liu quell", text, name="liu quell 刘殿座颂") == (
        "zoe harlin is a poet . the poem is known ."
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("name", True),
        ("birth_name", True),
        ("birthname", True),
        ("monarch|name", True),
        ("other_names", True),
        ("playername", True),
        ("native_name_lang", False),
        ("birth_date", False),
        ("teamname", False),
    ],
)
def test_infobox_keys_that_hold_names(key: str, expected: bool) -> None:
    assert is_name_field(key) is expected


@pytest.mark.parametrize(
    "title", ["", "j. p.", "1234", "\N{GRINNING FACE}", "-lrb- band -rrb-", "--"]
)
def test_titles_without_a_name(title: str) -> None:
    assert not OldName.of(title, {"name": "<none>"}).parts


def test_plain_text_is_one_line_with_real_marks() -> None:
    text = "nora\x00 `` q '' -lrb- a\u200b\u200f -rrb- ,\n\n-lsb- b -rsb- \u00a0 `c' .\n"
    assert plain_text(text) == "nora \" q \" ( a ) , [ b ] 'c' ."


@given(st.text(max_size=60))
def test_folding_keeps_words_apart(text: str) -> None:
    line = plain_text(text)
    assert not {"Cc", "Cf"}.intersection(map(unicodedata.category, line))
    assert line == " ".join(line.split())
    assert len(fold(line).split(" ")) == len(line.split(" "))


WORDS = st.sampled_from(
    sorted(
        word_set("""nora quell n. q. quell's quell-vance vance of the , . ( ) ; : " ' is was born
        known as king tom sings 1950 in van 刘殿 née ii dr.""")
    )
)


@given(
    title=st.lists(WORDS, min_size=1, max_size=5).map(" ".join),
    words=st.lists(WORDS, max_size=40),
    alias=st.lists(WORDS, max_size=4).map(" ".join),
)
def test_mentions_never_overlap_and_the_rest_of_the_text_stays(
    title: str, words: list[str], alias: str
) -> None:
    biography = Biography(plain_text(" ".join(words)), OldName.of(title, {"alias": alias}))
    mentions = biography.mentions()
    edges = [edge for mention in mentions for edge in (mention.start, mention.end)]
    assert edges == sorted(edges)
    assert all(mention.start < mention.end for mention in mentions)
    rest = [
        word
        for word in biography.rewritten(mentions, NEW).split()
        if "zoe" not in word and "harlin" not in word
    ]
    # What is left are words of the text, in their order; none is changed or new.
    originals = iter(biography.words)
    assert all(word in originals for word in rest)


def test_a_text_of_100_000_characters() -> None:
    # Anything quadratic in the text or the title would take minutes here.
    text = "nora quell is a poet ." + " van der quell sings ." * 5000
    expected = "zoe harlin is a poet ." + " harlin sings ." * 5000
    assert renamed("nora van der quell", text) == expected
    assert renamed("nora van der quell " * 4000, text) == expected
