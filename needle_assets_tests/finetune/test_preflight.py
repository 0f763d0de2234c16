import dataclasses
import datetime
import hashlib
import json
from typing import Any, Literal

import pytest

from needle_assets.chat.clients import openai_client
from needle_assets.finetune.dataset import Dataset, build_dataset
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.preflight import (
    Preflight,
    Quote,
    check_not_retired,
    preflight,
    quote,
)
from needle_assets.finetune.prices import PriceTable, TrainingPrice, load_prices, require_affordable
from needle_assets.finetune.providers import (
    AZURE,
    CRUSOE,
    EMBEDDED,
    NEBIUS,
    OPENAI,
    UNKNOWN,
    Capabilities,
)
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets_tests.haystack.invented import build
from needle_assets_tests.support.files_server import files_server
from needle_assets_tests.support.scripted_server import Refuse, scripted_server

LABEL = (
    '{"nationality":"Swiss","date_of_birth":{"day":1,"month":3,"year":1950},'
    '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":true,"politician":false}'
)


def bio(name: str) -> str:
    return f"{name} was a swiss rower ."


def example(name: str, *, answer: str = LABEL, hay: str = "") -> dict[str, Any]:
    user = "\n".join([*([hay] if hay else []), bio(name), f"who is {name} ?"])
    texts = (("system", "extract"), ("user", user), ("assistant", answer))
    return {"messages": [{"role": role, "content": text} for role, text in texts]}


def from_bytes(content: bytes, split: str = "train", needles: tuple[str, ...] = ()) -> Dataset:
    return Dataset(
        split=split,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=content.count(b"\n"),
        tokens=0,
        longest_example=0,
        needles=needles,
    )


def lines(names: list[str]) -> list[bytes]:
    return [json.dumps(example(name)).encode() + b"\n" for name in names]


def dataset(names: list[str], split: str = "train") -> Dataset:
    return from_bytes(b"".join(lines(names)), split, tuple(bio(name) for name in names))


TRAIN = [f"ann {number}" for number in range(10)]
VALIDATION = [f"bob {number}" for number in range(3)]


def check(
    tokenizer: ReferenceTokenizer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    of: Capabilities = EMBEDDED,
    context_length: int = 512,
) -> Preflight:
    return preflight(
        train,
        validation,
        task=BIOGRAPHY_TASK,
        tokenizer=tokenizer,
        capabilities=of,
        context_length=context_length,
    )


def test_what_is_in_order_is_counted(reference_tokenizer: ReferenceTokenizer) -> None:
    train, validation = dataset(TRAIN), dataset(VALIDATION, "validation")
    report = check(reference_tokenizer, train, validation)
    of_line = [
        len(reference_tokenizer.encode([reference_tokenizer.render(messages[:2])])[0])
        + len(reference_tokenizer.encode([LABEL])[0])
        for messages in (example(name)["messages"] for name in [*TRAIN, *VALIDATION])
    ]
    assert report.examples == 10
    assert report.validation_examples == 3
    assert report.tokens == sum(of_line[:10])
    assert report.validation_tokens == sum(of_line[10:])
    assert report.longest_example == max(of_line)
    assert report.bytes == len(train.content) + len(validation.content)
    assert report.warnings == ()


def test_haystacks_of_the_project_pass(reference_tokenizer: ReferenceTokenizer) -> None:
    table = build(reference_tokenizer, 1024, train_examples=12, validation_examples=4)
    train, validation = (
        build_dataset(table, split, task=BIOGRAPHY_TASK, tokenizer=reference_tokenizer)
        for split in ("train", "validation")
    )
    report = check(reference_tokenizer, train, validation, of=OPENAI, context_length=1024)
    assert (report.tokens, report.validation_tokens) == (train.tokens, validation.tokens)
    assert report.longest_example == max(train.longest_example, validation.longest_example)
    assert "each prompt holds its needle whole and once" in report.checks
    assert "no needle of one file stands in the other" in report.checks
    assert "examples of at most 65,536 tokens" in report.checks


def reordered(name: str) -> bytes:
    messages = example(name)["messages"]
    return json.dumps({"messages": [messages[0], messages[2], messages[1]]}).encode() + b"\n"


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"not json\n", "expected an object with messages"),
        (b"\n", "is empty"),
        (b"   \n", "is empty"),
        (b"\xef\xbb\xbf" + lines(["x"])[0], "byte order mark"),
        (lines(["x"])[0].replace(b"\n", b"\r\n"), "CR LF"),
        (lines(["x"])[0].decode().encode("utf-16"), "expected an object with messages"),
        (reordered("x"), "expected roles"),
        (json.dumps({"messages": example("x")["messages"][:2]}).encode() + b"\n", "expected roles"),
        (json.dumps(example("x", answer="")).encode() + b"\n", "empty"),
        (json.dumps(example("x", answer=" \t")).encode() + b"\n", "empty"),
        (json.dumps(example("x", answer="Swiss")).encode() + b"\n", "not a biography label"),
        (json.dumps(example("x\ud800")).encode() + b"\n", "half a character"),
        (lines(["ann 3"])[0], "repeats line 4"),
    ],
)
def test_a_bad_line_is_named(
    reference_tokenizer: ReferenceTokenizer, bad: bytes, complaint: str
) -> None:
    whole = b"".join(lines(TRAIN))
    with pytest.raises(FinetuneError, match=f"^train dataset, line 11: .*{complaint}[^;]*$"):
        check(reference_tokenizer, from_bytes(whole + bad))


def test_all_problems_are_told_at_once(reference_tokenizer: ReferenceTokenizer) -> None:
    train = from_bytes(b"".join([*lines(TRAIN[:8]), b"\n", reordered("x")]))
    validation = from_bytes(b"".join([b"[]\n", *lines(["ann 0"])]), "validation")
    with pytest.raises(FinetuneError) as caught:
        check(reference_tokenizer, train, validation)
    problems = str(caught.value).split("; ")
    assert [problem.split(":")[0] for problem in problems[:4]] == [
        "train dataset, line 9",
        "train dataset, line 10",
        "validation dataset, line 1",
        "validation dataset, line 2",
    ]
    assert "8 examples, expected at least 10" in problems[4]


def test_of_many_problems_the_others_are_counted(reference_tokenizer: ReferenceTokenizer) -> None:
    with pytest.raises(FinetuneError, match="line 20: is empty; and 6 more$"):
        check(reference_tokenizer, from_bytes(b"\n" * 25))


def test_nine_examples_are_too_few(reference_tokenizer: ReferenceTokenizer) -> None:
    with pytest.raises(FinetuneError, match="9 examples, expected at least 10; set NEEDLE_TRAIN"):
        check(reference_tokenizer, dataset(TRAIN[:9]))
    assert check(reference_tokenizer, dataset(TRAIN)).examples == 10


def test_few_validation_examples_are_enough(reference_tokenizer: ReferenceTokenizer) -> None:
    report = check(reference_tokenizer, dataset(TRAIN), dataset(["bob"], "validation"))
    assert report.validation_examples == 1
    empty = dataset([], "validation")
    assert check(reference_tokenizer, dataset(TRAIN), empty).validation_examples == 0


def test_an_example_over_the_providers_limit_is_named(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    tokens = check(reference_tokenizer, dataset(TRAIN)).longest_example
    short = dataclasses.replace(OPENAI, longest_training_example=tokens)
    report = check(reference_tokenizer, dataset(TRAIN), of=short)
    assert report.longest_example == tokens
    shorter = dataclasses.replace(OPENAI, longest_training_example=tokens - 1)
    with pytest.raises(
        FinetuneError, match=f"line 1: {tokens} tokens by .*, openai trains on at most {tokens - 1}"
    ):
        check(reference_tokenizer, dataset(TRAIN), of=shorter)


def test_an_example_over_the_context_length_is_named(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    with pytest.raises(FinetuneError, match="line 1: .* more than the context length 50"):
        check(reference_tokenizer, dataset(TRAIN), context_length=50)


def test_a_file_over_the_providers_limit_is_refused(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    train = dataset(TRAIN)
    size = len(train.content)
    check(reference_tokenizer, train, of=dataclasses.replace(AZURE, file_bytes=size))
    with pytest.raises(FinetuneError, match=f"azure takes at most {size - 1:,}; train on fewer"):
        check(reference_tokenizer, train, of=dataclasses.replace(AZURE, file_bytes=size - 1))


def test_what_could_not_be_asked_is_said(reference_tokenizer: ReferenceTokenizer) -> None:
    nobody = check(reference_tokenizer, dataset(TRAIN), of=UNKNOWN).warnings
    assert "the longest example that unknown takes is not known" in nobody
    assert "the largest file that unknown takes is not known" in nobody
    assert any("counts by its own tokenizer" in warning for warning in nobody)


def test_a_count_near_the_limit_of_another_tokenizer_is_a_warning(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    tokens = check(reference_tokenizer, dataset(TRAIN)).longest_example
    near = dataclasses.replace(OPENAI, longest_training_example=tokens + 1)
    far = dataclasses.replace(OPENAI, longest_training_example=2 * tokens)
    said = "own count it may be over its limit"
    assert any(
        said in text for text in check(reference_tokenizer, dataset(TRAIN), of=near).warnings
    )
    assert not any(
        said in text for text in check(reference_tokenizer, dataset(TRAIN), of=far).warnings
    )


def test_a_needle_that_is_cut_is_named(reference_tokenizer: ReferenceTokenizer) -> None:
    """Fault: needle cut or damaged in the training set (tokens subtracted as characters)."""
    whole = dataset(TRAIN)
    cut = whole.content.replace(b"ann 4 was a swiss rower .", b"ann 4 was a swi")
    damaged = from_bytes(cut, needles=whole.needles)
    with pytest.raises(
        FinetuneError, match=r"^train dataset, line 5: .*needle whole and once \('ann 4"
    ):
        check(reference_tokenizer, damaged)


def test_a_person_asked_about_in_both_files_is_named(
    reference_tokenizer: ReferenceTokenizer,
) -> None:
    """Fault: validation file drawn from training needles."""
    twice = json.dumps(example("ann 7", hay=bio("cia"))).encode() + b"\n"
    validation = from_bytes(lines(["bob"])[0] + twice, "validation")
    with pytest.raises(
        FinetuneError,
        match="^validation dataset, line 2: shares the question with line 8 of the train dataset$",
    ):
        check(reference_tokenizer, from_bytes(dataset(TRAIN).content), validation)


def test_a_prompt_in_both_files_is_named(reference_tokenizer: ReferenceTokenizer) -> None:
    with pytest.raises(FinetuneError, match="line 1: shares the prompt with line 10 of the train"):
        check(
            reference_tokenizer,
            from_bytes(dataset(TRAIN).content),
            from_bytes(lines(["ann 9"])[0], "validation"),
        )


@pytest.mark.parametrize("holder", ["train", "validation"])
def test_a_needle_in_the_hay_of_the_other_file_is_named(
    reference_tokenizer: ReferenceTokenizer, holder: str
) -> None:
    names = {"train": TRAIN, "validation": VALIDATION}
    stranger = {"train": "bob 1", "validation": "ann 1"}[holder]
    both = {split: dataset(people, split) for split, people in names.items()}
    extra = json.dumps(example("zoe", hay=bio(stranger))).encode() + b"\n"
    both[holder] = from_bytes(
        both[holder].content + extra, holder, (*both[holder].needles, bio("zoe"))
    )
    other = {"train": "validation", "validation": "train"}[holder]
    line = len(names[holder]) + 1
    with pytest.raises(
        FinetuneError,
        match=f"^{holder} dataset, line {line}: holds a needle of the {other} dataset .*{stranger}",
    ):
        check(reference_tokenizer, both["train"], both["validation"])


REPORT = Preflight(
    provider="openai",
    context_length=4096,
    tokenizer="SmolLM2",
    examples=100,
    validation_examples=20,
    tokens=400_000,
    validation_tokens=80_000,
    longest_example=4096,
    bytes=1_600_000,
    checks=(),
    warnings=(),
)
MINI = "gpt-4o-mini-2024-07-18"


def quoted(
    of: Capabilities,
    model: str = MINI,
    n_epochs: int | Literal["auto"] = 3,
    prices: PriceTable | None = None,
) -> Quote:
    return quote(
        REPORT, capabilities=of, model=model, n_epochs=n_epochs, prices=prices or load_prices()
    )


def test_a_quote_is_tokens_times_epochs_times_price() -> None:
    found = quoted(OPENAI)
    assert found.billed_tokens == 1_200_000
    # 1.2 million tokens at 3 USD a million.
    assert found.usd == pytest.approx(3.6)
    assert found.price_as_of == datetime.date(2026, 2, 7)
    assert found.price_source == "https://platform.openai.com/docs/pricing"
    assert (found.n_epochs, found.epochs) == (3, "given")


def test_auto_epochs_are_quoted_at_the_most_they_may_come_to() -> None:
    found = quoted(OPENAI, n_epochs="auto")
    assert (found.n_epochs, found.epochs) == (25, "at most")
    assert found.usd == pytest.approx(30.0)


def test_auto_epochs_without_a_known_bound_have_no_sum() -> None:
    mine = PriceTable(
        training=(
            TrainingPrice(
                provider="nebius",
                model="*",
                usd_per_million_tokens=1,
                as_of=datetime.date(2026, 11, 1),
                source="my contract",
            ),
        )
    )
    found = quoted(NEBIUS, n_epochs="auto", prices=mine)
    assert (found.usd, found.billed_tokens, found.epochs) == (None, None, "unknown")
    assert "set n_epochs" in found.unknown
    # Whether validation tokens are billed there is not known: they are counted in.
    assert quoted(NEBIUS, n_epochs=2, prices=mine).usd == pytest.approx(0.96)


def test_validation_tokens_are_left_out_where_they_are_known_to_be_free() -> None:
    assert quoted(OPENAI).tokens_per_epoch == 400_000
    crusoe = quoted(CRUSOE, model="openai/gpt-oss-120b")
    assert crusoe.tokens_per_epoch == 480_000
    assert crusoe.usd == pytest.approx(8.64)
    assert any("validation tokens are counted in" in remark for remark in crusoe.remarks)


def test_a_model_without_a_price_has_no_sum_and_is_never_free() -> None:
    for of, model in ((OPENAI, "gpt-9"), (AZURE, "gpt-4.1"), (UNKNOWN, MINI)):
        found = quoted(of, model=model)
        assert (found.usd, found.usd_per_million_tokens, found.price_as_of) == (None, None, None)
        assert "no price of" in found.unknown


def test_a_price_by_the_hour_gives_no_sum() -> None:
    hourly = PriceTable(
        training=(
            TrainingPrice(
                provider="openai",
                model="*",
                usd_per_hour=100,
                as_of=datetime.date(2026, 2, 7),
                source="price page",
            ),
        )
    )
    found = quoted(OPENAI, prices=hourly)
    assert found.usd is None
    assert "by the hour" in found.unknown


def test_ones_own_machine_costs_nothing() -> None:
    found = quoted(EMBEDDED, model="SmolLM2-135M-Instruct", n_epochs="auto")
    assert found.usd == 0.0
    require_affordable(found, 0.0)


def test_a_cap_is_held_before_anything_is_sent() -> None:
    require_affordable(quoted(OPENAI), 3.61)
    with pytest.raises(
        FinetuneError, match=r"training gpt-4o-mini-.* at openai costs up to 3\.6000 USD"
    ):
        require_affordable(quoted(OPENAI), 3.59)
    with pytest.raises(FinetuneError, match="training gpt-9 at openai has no known cost"):
        require_affordable(quoted(OPENAI, model="gpt-9"), 1e9)
    require_affordable(quoted(OPENAI, model="gpt-9"), None)


def test_a_count_by_another_tokenizer_is_said() -> None:
    assert any("counted by SmolLM2" in remark for remark in quoted(OPENAI).remarks)
    assert quoted(EMBEDDED, model="SmolLM2-135M-Instruct").remarks == ()


@pytest.mark.parametrize("n_epochs", [0, -1, True])
def test_epochs_that_make_no_sense_are_refused(n_epochs: int) -> None:
    with pytest.raises(FinetuneError, match="n_epochs is .*; expected 'auto' or at least 1"):
        quoted(OPENAI, n_epochs=n_epochs)


NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


def retirement(model: str, **listed: dict[str, Any]) -> str:
    """What `check_not_retired` says of a model, at a server that has the ``listed`` ones."""
    with files_server() as server:
        server.models = listed
        with openai_client(server.base_url, server.api_key, max_retries=0) as client:
            return check_not_retired(client, model, clock=lambda: NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shutdown_date": None},
        {"shutdown_date": "2027-01-06"},
        {"deprecation": {"fine_tune": 1798761600, "inference": 1798761600}},
    ],
)
def test_a_model_that_stays_or_whose_end_nobody_knows_passes(fields: dict[str, Any]) -> None:
    assert retirement("small", small=fields) == ""


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"shutdown_date": "2026-11-22"}, "2026-11-22"),
        ({"shutdown_date": "2025-01-01T00:00:00Z"}, "2025-01-01"),
        # Azure's: seconds since 1970.
        ({"deprecation": {"fine_tune": 1718323200, "inference": 1799000000}}, "2024-06-14"),
    ],
)
def test_a_model_that_has_ended_is_refused(fields: dict[str, Any], end: str) -> None:
    with pytest.raises(FinetuneError, match=f"'small' was shut down on {end}; choose another"):
        retirement("small", small=fields)


def test_a_model_that_ends_soon_is_a_warning() -> None:
    assert retirement("small", small={"shutdown_date": "2026-12-22"}).endswith("on 2026-12-22")
    assert retirement("small", small={"shutdown_date": "2026-12-23"}) == ""
    assert "cannot be read" in retirement("small", small={"shutdown_date": "next spring"})


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(FinetuneError, match="no model 'huge' .*; it has large, small"):
        retirement("huge", small={}, large={})


def test_a_server_that_only_lists_its_models_is_believed() -> None:
    with files_server() as server:
        server.models = {"org/small": {"shutdown_date": "2025-01-01"}}
        server.lists_models_alone = True
        client = openai_client(server.base_url, server.api_key, max_retries=0)
        with pytest.raises(FinetuneError, match="'org/small' was shut down on 2025-01-01"):
            check_not_retired(client, "org/small", clock=lambda: NOW)


def test_a_model_that_is_listed_but_gone_is_refused() -> None:
    with scripted_server() as server:
        server.models = {"small": {"id": "small"}, "large": {"id": "large"}}
        server.retired = {"small"}
        server.script("models.retrieve", Refuse(404, "retired", code="model_not_found"))
        client = openai_client(server.base_url, server.api_key, max_retries=0)
        with pytest.raises(
            FinetuneError, match="no model 'small' .*; it has large. Set NEEDLE_BAS"
        ):
            check_not_retired(client, "small", clock=lambda: NOW)


def test_a_wrong_key_is_told_when_a_model_is_asked_for() -> None:
    with files_server() as server:
        client = openai_client(server.base_url, "sk-wrong-key", max_retries=0)
        with pytest.raises(FinetuneError, match="refuses the key"):
            check_not_retired(client, "small", clock=lambda: NOW)
