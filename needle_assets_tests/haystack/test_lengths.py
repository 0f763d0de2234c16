import pytest

from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.lengths import parse_length


@pytest.mark.parametrize(("key", "tokens"), [("256", 256), ("4096", 4096), ("16777216", 2**24)])
def test_plain_digits_are_a_length(key: str, tokens: int) -> None:
    assert parse_length(key) == tokens


@pytest.mark.parametrize(
    "key",
    [
        "abc",
        "0",
        "-4",
        "1e3",
        "12",
        "512|x",
        "99999999",
        "",
        " 512",
        "0512",
        "4_096",
        "５１２",
        "5" * 5000,
    ],
)
def test_anything_else_is_refused_with_the_key_in_the_message(key: str) -> None:
    with pytest.raises(HaystackError, match="is not a context length: expected the plain digits"):
        parse_length(key)
