"""Where a person is named: every form of the name, and no word that only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needle_assets.corpus.mentions import MentionFinder
from needle_assets.corpus.names import NewName
from needle_assets.corpus.old_names import OldName
from needle_assets.corpus.spelling import plain_text
from needle_assets.corpus.words import word_set

NEW = NewName("zoe", "", "harlin")


def rewritten(title: str, text: str, **infobox: str) -> str:
    """The text under the name "zoe harlin"."""
    finder = MentionFinder(plain_text(text), OldName.of(title, infobox))
    return finder.rewritten(finder.mentions(), NEW)


def renamed(title: str, text: str, **infobox: str) -> str | None:
    """The text under the name "zoe harlin", or None where a word of the old name remains."""
    bio = rewritten(title, text, **infobox)
    return None if OldName.of(title, infobox).remains_in(bio) else bio


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
        # What stands before the name and is none.
        ("nora quell", "ghent singer nora quell is late .", "ghent singer zoe harlin is late ."),
        ("nora quell", "born in ghent , nora quell is a poet .",
         "born in ghent , zoe harlin is a poet ."),
        # Names that the text introduces.
        ("nora quell",
         "nora quell -lrb- born ada vance ; 1 may 1950 -rrb- is a poet . vance sings .",
         "zoe harlin ( born zoe harlin ; 1 may 1950 ) is a poet . harlin sings ."),
        ("nora quell", "nora quell -lrb- nom de guerre lojka -rrb- was a spy . lojka sings .",
         "zoe harlin ( nom de guerre zoe ) was a spy . zoe sings ."),
        ("nora quell", "nora quell -lrb- born in ghent -rrb- is a poet .",
         "zoe harlin ( born in ghent ) is a poet ."),
        ("nora quell", "nora quell , known as `` the perfect storm '' , is a poet .",
         'zoe harlin , known as " zoe " , is a poet .'),
        ("nora quell", "nora quell or nora kwell is a poet .",
         "zoe harlin or zoe harlin is a poet ."),
        ("nora quell",
         "nora quell -lrb- née vance ; noms de guerre `` vera '' and `` lojka '' -rrb- was a spy .",
         'zoe harlin ( née harlin ; noms de guerre " zoe " and " zoe " ) was a spy .'),
        ("nora quell",
         "nora quell , better known by her stage name q-tipp , is a rapper . q-tipp sings .",
         "zoe harlin , better known by her stage name zoe , is a rapper . zoe sings ."),
        ("nora quell", "nora quell -lrb- born 1950 -rrb- , or simply noki , sings . noki sings .",
         "zoe harlin ( born 1950 ) , or simply zoe , sings . zoe sings ."),
        ("nora quell", "nora quell is a poet . she was born ada vance in ghent . vance sings .",
         "zoe harlin is a poet . she was born zoe harlin in ghent . harlin sings ."),
        ("nora quell", "nora quell is a poet . born mary cook in ghent , she sings .",
         "zoe harlin is a poet . born zoe harlin in ghent , she sings ."),
        ("nora quell", "nora quell is a poet . her real name is ada vance . vance sings .",
         "zoe harlin is a poet . her real name is zoe harlin . harlin sings ."),
        ("nora quell", "nora quell is a poet . she is nicknamed `` the iron lady '' by all .",
         'zoe harlin is a poet . she is nicknamed " zoe " by all .'),
        ("nora quell", "nora quell -lrb- also kwell ; born 1950 -rrb- is a poet . kwell sings .",
         "zoe harlin ( also zoe ; born 1950 ) is a poet . zoe sings ."),
        ("nora quell", "nora quell , known in the west as noki , is a poet . noki sings .",
         "zoe harlin , known in the west as zoe , is a poet . zoe sings ."),
        ("nora quell", "nora quell is a poet . she is referred to as `` noki '' . noki sings .",
         'zoe harlin is a poet . she is referred to as " zoe " . zoe sings .'),
        ("nora quell", "nora quell -lrb- -lsb- ˈnoːra kwɛl -rsb- ; born 1950 -rrb- is a poet .",
         "zoe harlin ( born 1950 ) is a poet ."),
        # Behind "née" anything is a name, and behind other cues what a first name opens.
        ("nora quell", "nora quell -lrb- née vance , born 1950 -rrb- is a poet .",
         "zoe harlin ( née harlin , born 1950 ) is a poet ."),
        ("nora quell", "nora quell -lrb- née king , born 1950 -rrb- met the king .",
         "zoe harlin ( née harlin , born 1950 ) met the king ."),
        ("nora quell", "nora quell , née violet ada quell , is a poet . violet sang .",
         "zoe harlin , née zoe harlin , is a poet . zoe sang ."),
        ("nora quell", "nora quell -lrb- pseudonym frank vellow -rrb- is a poet . vellow sings .",
         "zoe harlin ( pseudonym zoe harlin ) is a poet . harlin sings ."),
        ("nora quell", "nora quell -lrb- born chevonne young -rrb- is a poet for young people .",
         "zoe harlin ( born zoe harlin ) is a poet for young people ."),
        ("nora quell", "nora quell -lrb- born nora vance , also nora king -rrb- is a poet .",
         "zoe harlin ( born zoe harlin , also zoe harlin ) is a poet ."),
        ("nora quell", "nora quell , latinized as noraea , was a nun . noraea sang .",
         "zoe harlin , latinized as zoe , was a nun . zoe sang ."),
        ("nora quell", "nora quell is a poet . her courtesy name was vayenga .",
         "zoe harlin is a poet . her courtesy name was zoe ."),
        ("nora quell", "nora quell is a poet . she was billed as margie quell . margie left .",
         "zoe harlin is a poet . she was billed as zoe harlin . zoe left ."),
        ("quellina",
         "quellina is the stage name of the singer ada vance -lrb- born 1950 -rrb- . vance sang .",
         "zoe harlin is the stage name of the singer zoe harlin ( born 1950 ) . harlin sang ."),
        # Former names with a year.
        ("nora quell", "nora quell , until 1936 tarrow , was a poet . tarrow sang .",
         "zoe harlin , until 1936 harlin , was a poet . harlin sang ."),
        ("nora quell", "nora quell -lrb- tarrow until 1936 ; 1910 -- 1990 -rrb- was a poet .",
         "zoe harlin ( harlin until 1936 ; 1910 -- 1990 ) was a poet ."),
        # A bracket that holds nothing but names.
        ("n. b. quell", "n. b. quell -lrb- nora beatrix -rrb- -lrb- 1888 -- 1965 -rrb- sang .",
         "zoe harlin ( zoe ) ( 1888 -- 1965 ) sang ."),
        ("n. s. quell", "n. s. quell -lrb- nora staples quell ; 1888 -- 1965 -rrb- was a poet .",
         "zoe harlin ( zoe harlin ; 1888 -- 1965 ) was a poet ."),
        ("nora quell", "nora quell -lrb- tarrow -rrb- -lrb- 1888 -- 1965 -rrb- was a poet .",
         "zoe harlin ( zoe ) ( 1888 -- 1965 ) was a poet ."),
        ("nora quell", "nora quell -lrb- ada vell y tarrow ; born 1950 -rrb- sings . vell sang .",
         "zoe harlin ( zoe harlin ; born 1950 ) sings . harlin sang ."),
        ("nora quell", "nora quell -lrb- ponta grossa -rrb- is a poet from ponta grossa .",
         "zoe harlin ( ponta grossa ) is a poet from ponta grossa ."),
        ("nora quell", "nora quell -lrb- pnm -rrb- -lrb- born 1950 -rrb- led the pnm .",
         "zoe harlin ( pnm ) ( born 1950 ) led the pnm ."),
        # The wrong way round, and words of the name side by side.
        ("nora quell", "quell , nora -lrb- born 1950 -rrb- is a poet . quell sings .",
         "zoe harlin ( born 1950 ) is a poet . harlin sings ."),
        ("nora quell", "nora quell , also known as nora quell vell , sings .",
         "zoe harlin , also known as zoe harlin , sings ."),
        ("nora quell", "nora quell de los santos -lrb- born 1950 -rrb- sings .",
         "zoe harlin ( born 1950 ) sings ."),
        ("nora al-quell", "nora al-quell sings . an-quell dances .",
         "zoe harlin sings . harlin dances ."),
        # What looks like a further name and is none.
        ("nora quell", "nora quell popularly known as nora vance is a poet .",
         "zoe harlin popularly known as zoe harlin is a poet ."),
        ("nora quell", "nora quell , also known as a socially aware poet , is a singer .",
         "zoe harlin , also known as a socially aware poet , is a singer ."),
        ("nora quell", "nora quell played for ghent . quell received a prize .",
         "zoe harlin played for ghent . harlin received a prize ."),
        ("nora quell", "nora quell is a coach . she was named ghent united coach . she was born in "
         "san luca . her husband , known as tom vance , sings . she is known as a wit .",
         "zoe harlin is a coach . she was named ghent united coach . she was born in "
         "san luca . her husband , known as tom vance , sings . she is known as a wit ."),
        ("nora quell", "nora quell quelled a riot .", "zoe harlin quelled a riot ."),
        ("nora quell", "nora quell grows roses .", "zoe harlin grows roses ."),
        ("nora quell", "nora quell skippers a yacht .", "zoe harlin skippers a yacht ."),
        ("nora quell", "nora quell 's song is long .", "zoe harlin 's song is long ."),
        ("nora quell", "nora quell captained ghent united .",
         "zoe harlin captained ghent united ."),
        ("nora quell", "nora ahmed quell sings .", "zoe harlin sings ."),
        # Initials, joined and apart.
        ("n. j. quell", "n.j. quell is a poet . n. quell sings . nora j quell dances .",
         "zoe harlin is a poet . zoe harlin sings . nora j harlin dances ."),
        ("nora j. quell", "nora j quell is a poet .", "zoe harlin is a poet ."),
        ("ada quell", "ada quell is a poet . at 7 a.m. quell rises , and a. quell sings .",
         "zoe harlin is a poet . at 7 a.m. harlin rises , and zoe harlin sings ."),
        # Other dashes.
        ("nora quell-vance", "nora quell–vance is a poet . quell – vance sings .",
         "zoe harlin is a poet . harlin – harlin sings ."),
        # Relatives share the surname.
        ("nora quell", "nora quell is a poet and the sister of ada quell .",
         "zoe harlin is a poet and the sister of ada harlin ."),
        ("nora field", "nora field is a poet . her father , will field , and her brother art field "
         "sing .",
         "zoe harlin is a poet . her father , will harlin , and her brother art harlin sing ."),
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
        ("ruth may", "ruth may is a judge . the judge may sing . on 3 may was a feast . may led .",
         "zoe harlin is a judge . the judge may sing . on 3 may was a feast . harlin led ."),
        ("will young", "will young is a singer . young will sing for young people .",
         "zoe harlin is a singer . harlin will sing for young people ."),
        ("jean de la tour", "jean de la tour is a poet . de la tour sings . his tour was long .",
         "zoe harlin is a poet . harlin sings . his tour was long ."),
        ("ann brown", "ann brown has brown hair . brown sings , and later , brown later danced .",
         "zoe harlin has brown hair . harlin sings , and later , harlin later danced ."),
        ("ann cotton", "ann cotton grows cotton . cotton 's barn is made of stones .",
         "zoe harlin grows cotton . harlin 's barn is made of stones ."),
        ("bo ng", "bo ng is a poet . ng sings .", "zoe harlin is a poet . harlin sings ."),
        ("ann king", "ann king is a poet . king would sing . mr. king left . hear of king 's art .",
         "zoe harlin is a poet . harlin would sing . mr. harlin left . hear of harlin 's art ."),
    ],
)  # fmt: skip
def test_ordinary_words_are_replaced_only_where_they_are_the_name(
    title: str, text: str, expected: str
) -> None:
    assert rewritten(title, text) == expected


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("tom will", "tom will is a poet . he will sing ."),
        ("ruth may", "ruth may -lrb- 3 may 1950 -rrb- is a poet ."),
        ("the quell", "the quell is the best known poet ."),
        ("diego quell", "diego quell played for san diego ."),
        ("oscar quell", "oscar quell won an oscar ."),
        ("ann santos", "ann santos played for santos ."),
        ("rose hill", "rose hill is a poet . rose rose early ."),
        ("ann brown", "ann brown has brown hair ."),
        ("quell", "quell is a singer . a quell sang ."),
        ("pope tomas iv", "tomas iv was the pope ."),
        ("ann jackson", "ann jackson is a poet from jackson , mississippi ."),
        ("ann durham", "ann durham is a daughter of the bishop of durham ."),
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


def test_titles_and_honours_of_the_infobox_go_with_the_name() -> None:
    text = "sir thomas `` tom '' quell , kbe , frs is a pilot . sir tom flew . lord quell sat ."
    assert renamed("tom quell", text, name="sir tom quell kbe frs") == (
        "zoe harlin is a pilot . zoe flew . lord harlin sat ."
    )
    text = "tom quell , 1st earl quell , kg , frs -lrb- 1850 -rrb- sat as lord tom quell ."
    assert renamed(
        "tom quell , 1st earl quell", text, name="the right honourable quell kg frs"
    ) == ("zoe harlin ( 1850 ) sat as lord zoe harlin .")


def test_a_nickname_of_common_words_is_replaced_only_as_a_nickname() -> None:
    text = "nora quell , nicknamed the king , is a poet . she met the king of spain ."
    assert rewritten("nora quell", text, nickname="the king") == (
        "zoe harlin , nicknamed zoe , is a poet . she met the king of spain ."
    )
    assert renamed("nora quell", text, nickname="the king") is None


@pytest.mark.parametrize(
    "key",
    ["fullname", "full_name", "birth_name", "birthname", "nickname", "other_names", "alias",
     "playername", "stage_name", "monarch|name", "Name", "ring_names", "native_name"],
)  # fmt: skip
def test_a_name_that_only_the_infobox_has_is_replaced(key: str) -> None:
    text = "nora quell is a poet . as lojka vance she sings ; vance is loved ."
    assert renamed("nora quell", text, **{key: "lojka vance"}) is not None


@pytest.mark.parametrize("value", ["<none>", "", "  ", "-lrb- -lrb- -rrb-", "( ( (", "\U0001f600"])
def test_an_infobox_name_that_is_none_changes_nothing(value: str) -> None:
    text = "nora quell is a poet ."
    assert renamed("nora quell", text, name=value, nickname=value) == "zoe harlin is a poet ."


def test_a_native_name_of_the_infobox_must_not_remain() -> None:
    text = "liu quell is a poet . the poem 刘殿座颂 is known ."
    assert renamed("liu quell", text, name="liu quell 刘殿座颂") == (
        "zoe harlin is a poet . the poem is known ."
    )


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
    finder = MentionFinder(plain_text(" ".join(words)), OldName.of(title, {"alias": alias}))
    mentions = finder.mentions()
    edges = [edge for mention in mentions for edge in (mention.start, mention.end)]
    assert edges == sorted(edges)
    assert all(mention.start < mention.end for mention in mentions)
    rest = [
        word
        for word in finder.rewritten(mentions, NEW).split()
        if "zoe" not in word and "harlin" not in word
    ]
    # What is left are words of the text, in their order; none is changed or new.
    originals = iter(finder.words)
    assert all(word in originals for word in rest)


N = 100_000
# Anything quadratic in one of these would take from ten seconds to hours.
LONG: dict[str, tuple[str, str, dict[str, str]]] = {
    "mentions": ("nora van der quell", "van der quell sings . " * (N // 22), {}),
    "a title as long": ("nora van der quell " * (N // 19), "van der quell sings .", {}),
    "marks on one letter": ("nora quell", "a" + "\u0301\u0316" * (N // 2), {}),
    "marks that could end a bracket": ("nora quell", "; " * (N // 2) + "x , )", {}),
    "open brackets": ("nora quell", "( " * (N // 2), {}),
    "cues of names": ("nora quell", "his " + "name " * (N // 5), {}),
    "nicknames in quotes": (
        "nora quell", " ".join(f'he is known as " x{i} " .' for i in range(N // 25)), {}
    ),
    "nicknames in a row": ("nora quell", "he is nicknamed " + "and \" v \" " * (N // 10), {}),
    "nicknames of the infobox": (
        "nora quell",
        "nora vance " * (N // 11),
        {"alias": " ; ".join(f"nora v{i}" for i in range(9000))},
    ),
    "compounds": ("nora quell", "nora-" * (N // 5), {}),
    "initials": ("n. quell", "n. " * (N // 3), {}),
    "titles": ("sir nora quell", "sir " * (N // 4), {}),
    "other scripts": ("nora quell", "刘殿 ( 刘 ; x : y ) " * (N // 20), {}),
    "one word": ("nora quell", "quell" * (N // 5), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", LONG)
def test_100_000_characters(case: str) -> None:
    title, text, infobox = LONG[case]
    bio = renamed(title, f"nora quell is a poet . {text}", **infobox)
    assert bio is None or bio.startswith("zoe harlin is a poet .")


def test_mentions_of_100_000_characters_are_all_replaced() -> None:
    text = "nora quell is a poet ." + " van der quell sings ." * 5000
    expected = "zoe harlin is a poet ." + " harlin sings ." * 5000
    assert renamed("nora van der quell", text) == expected
    assert renamed("nora van der quell " * 4000, text) == expected
