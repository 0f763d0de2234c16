"""What a new job may not be: each refusal names its parameter, and no job is there afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from needle_assets.endpoint.records import FileRecord, ModelRecord
from needle_assets_tests.endpoint.api.world import Endpoint, endpoint


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("home"), limits={"epochs": 50}) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Endpoint) -> OpenAI:
    return served.client()


@pytest.fixture(scope="module")
def training_file(served: Endpoint) -> str:
    return served.upload()


@pytest.fixture(autouse=True)
def _no_job(client: OpenAI) -> Iterator[None]:
    yield
    assert client.fine_tuning.jobs.list().data == []


@pytest.mark.parametrize(
    ("asked", "param", "message"),
    [
        (
            {"hyperparameters": {"n_epochs": value}},
            "hyperparameters.n_epochs",
            "expected a whole number",
        )
        for value in (0, -1, 1e9, 10**9, 51, 1.5, "many", "3", True, None, [], {})
    ]
    + [
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {name: value}}}},
            f"method.supervised.hyperparameters.{name}",
            "expected a",
        )
        for name, value in [
            ("n_epochs", 0),
            ("n_epochs", 51),
            ("batch_size", 0),
            ("batch_size", 2.0),
            ("learning_rate_multiplier", 0),
            ("learning_rate_multiplier", -0.1),
            ("learning_rate_multiplier", 10**400),
            ("learning_rate_multiplier", "fast"),
            ("learning_rate_multiplier", False),
        ]
    ]
    + [
        ({"hyperparameters": {"epochs": 1}}, "hyperparameters.epochs", "Unknown parameter"),
        ({"suffix": "a/b"}, "suffix", "letters, digits, dots, dashes and underscores"),
        ({"suffix": "a:b"}, "suffix", "letters"),
        ({"suffix": "../up"}, "suffix", "letters"),
        ({"suffix": "with space"}, "suffix", "letters"),
        ({"suffix": "line\n"}, "suffix", "letters"),
        ({"suffix": ""}, "suffix", "1 to 64"),
        ({"suffix": "x" * 65}, "suffix", "1 to 64"),
        ({"seed": -1}, "seed", "from 0 to 2147483647"),
        ({"seed": 2**31}, "seed", "from 0 to 2147483647"),
        ({"seed": "7"}, "seed", "whole number"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata", "at most 16 pairs"),
        ({"metadata": {"k" * 65: ""}}, "metadata", "1 to 64 characters"),
        ({"metadata": {"": "v"}}, "metadata", "1 to 64 characters"),
        ({"metadata": {"k": "v" * 513}}, "metadata", "at most 512"),
        ({"metadata": {"k": 1}}, "metadata.k", "valid string"),
        (
            {"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]},
            "integrations",
            "no integrations",
        ),
        ({"method": {"type": "dpo", "dpo": {}}}, "method.type", "'supervised' alone"),
        (
            {"method": {"type": "reinforcement", "reinforcement": {"grader": {}}}},
            "method.type",
            "'supervised' alone",
        ),
        ({"extra_body": {"priority": "high"}}, "priority", "Unknown parameter: 'priority'"),
    ],
)
def test_what_cannot_be_is_refused_and_named(
    client: OpenAI, training_file: str, asked: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(BadRequestError, match=message) as raised:
        client.fine_tuning.jobs.create(model="tiny", training_file=training_file, **asked)

    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


def test_hyperparameters_in_both_places_are_refused(client: OpenAI, training_file: str) -> None:
    with pytest.raises(BadRequestError, match="given twice"):
        client.fine_tuning.jobs.create(
            model="tiny",
            training_file=training_file,
            hyperparameters={"n_epochs": 1},
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model", r'"\ud83d"'),
        ("training_file", r'"\ud83d"'),
        ("validation_file", r'"\ud83d"'),
        ("metadata", r'{"k": "\ud83d"}'),
        ("metadata", r'{"\ud83d": "v"}'),
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(
    client: OpenAI, training_file: str, place: str, value: str
) -> None:
    fields = {"model": '"tiny"', "training_file": f'"{training_file}"', place: value}
    body = ", ".join(f'"{name}": {text}' for name, text in fields.items())

    with pytest.raises(BadRequestError, match="half of a surrogate pair") as raised:
        client.post(
            "/fine_tuning/jobs",
            cast_to=object,
            content=f"{{{body}}}".encode(),
            options={"headers": {"Content-Type": "application/json"}},
        )

    assert raised.value.param == place


def test_a_filter_of_more_pairs_than_a_job_can_have_is_refused(client: OpenAI) -> None:
    pairs = {f"k{number}": "v" for number in range(17)}

    with pytest.raises(BadRequestError, match="17 pairs, where no job has more than 16") as raised:
        client.fine_tuning.jobs.list(metadata=pairs)

    assert raised.value.param == "metadata"


def test_an_unknown_base_model_is_refused_with_those_there_are(
    client: OpenAI, training_file: str
) -> None:
    with pytest.raises(BadRequestError, match="Base models here: tiny") as raised:
        client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training_file)

    assert (raised.value.param, raised.value.code) == ("model", "model_not_available")


def test_a_tuned_model_is_no_base(served: Endpoint, client: OpenAI, training_file: str) -> None:
    tuned = ModelRecord("ft:tiny::1", "tiny", 1, "ftjob-1", Path("adapter.gguf"), 2048)
    served.state.add_model(tuned)

    with pytest.raises(BadRequestError, match="is a tuned model"):
        client.fine_tuning.jobs.create(model=tuned.id, training_file=training_file)


def test_a_file_of_another_purpose_is_refused(served: Endpoint, client: OpenAI) -> None:
    results = FileRecord("file-results", "r.csv", "fine-tune-results", 1, "0" * 64, 1)
    served.state.add_file(results)

    with pytest.raises(BadRequestError, match="purpose 'fine-tune-results'") as raised:
        client.fine_tuning.jobs.create(model="tiny", training_file=results.id)

    assert (raised.value.param, raised.value.code) == ("training_file", "invalid_file_purpose")


def test_what_was_trained_on_cannot_validate(client: OpenAI, training_file: str) -> None:
    with pytest.raises(BadRequestError, match="cannot validate") as raised:
        client.fine_tuning.jobs.create(
            model="tiny", training_file=training_file, validation_file=training_file
        )

    assert raised.value.param == "validation_file"


def test_a_missing_model_is_named(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="Missing required parameter: 'model'") as raised:
        client.post("/fine_tuning/jobs", cast_to=object, body={"training_file": "file-1"})

    assert raised.value.param == "model"
