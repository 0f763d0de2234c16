import pytest

from needle_assets.endpoint.config import LimitsConfig
from needle_assets.endpoint.records import JobStatus
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.providers import (
    AZURE,
    CRUSOE,
    EMBEDDED,
    NEBIUS,
    OPENAI,
    UNKNOWN,
    Capabilities,
    capabilities,
    provider_of,
)


@pytest.mark.parametrize(
    ("base_url", "entry"),
    [
        (None, EMBEDDED),
        ("https://api.openai.com/v1", OPENAI),
        ("https://eu.api.openai.com/v1/", OPENAI),
        ("https://my-resource.openai.azure.com/openai/v1/", AZURE),
        ("https://my-resource.services.ai.azure.com/openai/v1", AZURE),
        ("https://API.TokenFactory.Nebius.com/v1/", NEBIUS),
        ("https://api.intelligence.crusoecloud.com/v1", CRUSOE),
        # A gateway on this machine may lead to a paid service: its address says nothing.
        ("http://127.0.0.1:8600/v1", UNKNOWN),
        ("https://my-own-server/v1", UNKNOWN),
        # The name of a provider elsewhere in an address makes no provider.
        ("https://api.openai.com.evil.example/v1", UNKNOWN),
        ("https://notopenai.azure.com/v1", UNKNOWN),
        ("https://proxy.example/api.openai.com/v1", UNKNOWN),
    ],
)
def test_a_provider_is_known_by_its_host_alone(base_url: str | None, entry: Capabilities) -> None:
    assert provider_of(base_url) is entry


def test_what_is_not_known_of_a_server_is_not_claimed() -> None:
    unknown = [UNKNOWN.metadata_filter, UNKNOWN.job_metadata, UNKNOWN.file_bytes]
    assert unknown == [None, None, None]
    assert UNKNOWN.longest_training_example is None
    assert UNKNOWN.most_epochs is None
    assert UNKNOWN.minimum_examples == 10


@pytest.mark.parametrize(
    ("entry", "said", "status"),
    [
        (OPENAI, "validating_files", "validating_files"),
        (OPENAI, "pending", None),
        (AZURE, "pending", "queued"),
        (AZURE, "creating", "queued"),
        (AZURE, "pausing", "running"),
        (AZURE, "canceled", "cancelled"),
        (AZURE, "succeeded", "succeeded"),
        (EMBEDDED, "paused", "paused"),
        (UNKNOWN, "warming_up", None),
    ],
)
def test_statuses_are_read_in_openais_words(
    entry: Capabilities, said: str, status: str | None
) -> None:
    assert entry.status(said) == status


def test_our_own_endpoint_is_described_as_it_is() -> None:
    limits = LimitsConfig()
    assert (EMBEDDED.file_bytes, EMBEDDED.most_epochs) == (limits.file_bytes, limits.epochs)
    assert {EMBEDDED.status(status.value) for status in JobStatus} == {*JobStatus}


def test_a_provider_is_found_by_its_name() -> None:
    assert capabilities("nebius") is NEBIUS
    with pytest.raises(FinetuneError, match="no provider is named 'nebula'; there are embedded, "):
        capabilities("nebula")
