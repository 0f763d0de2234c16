"""What is asked of a server that shall fine-tune: the body of the create, as its provider reads it.

When it is sent is `job_submit`'s.
"""

from typing import Any

from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.job_records import JobSpec
from needle_assets.finetune.providers import Capabilities

METADATA_KEY = "needle_fingerprint"
"""Under which a job's metadata holds its fingerprint."""

_MARK = 8
"""Hex digits of the fingerprint that end the suffix where metadata may not be kept."""

_LARGEST_RATE = 0.05
"""No learning rate is larger; multipliers of ten times less are unheard of."""


def job_request(spec: JobSpec, provider: Capabilities, mark: str) -> dict[str, Any]:
    """The body of the create.

    Raises:
        FinetuneError: the learning rate is a multiplier where the provider takes the rate itself.
    """
    rate_name = "learning_rate_multiplier"
    if provider.learning_rate == "absolute":
        rate_name = "learning_rate"
        rate = spec.learning_rate_multiplier
        if rate != "auto" and rate > _LARGEST_RATE:
            raise FinetuneError(
                f"{provider.name} takes a learning rate, not a multiplier: {rate:g} is far too "
                'much for one; give a number such as 1e-5, or "auto"'
            )
    values = {
        "n_epochs": spec.n_epochs,
        "batch_size": spec.batch_size,
        rate_name: spec.learning_rate_multiplier,
    }
    # What is left out is decided by every server; not every one knows the word "auto".
    values = {name: value for name, value in values.items() if value != "auto"}
    request: dict[str, Any] = {
        "model": spec.model,
        "training_file": spec.training_file,
        "seed": spec.seed,
    }
    if spec.validation_file is not None:
        request["validation_file"] = spec.validation_file
    if provider.job_metadata is True:
        # OpenAI's API got `method` shortly after `metadata`: copies of an older one know the flat
        # form alone, and would train with their own values without a word.
        request["method"] = {"type": "supervised", "supervised": {"hyperparameters": values}}
        request |= {"suffix": spec.suffix} if spec.suffix else {}
    else:
        request["hyperparameters"] = values
        request["suffix"] = f"{spec.suffix[: 63 - _MARK]}-{mark[:_MARK]}".lstrip("-")
    # Unknown servers are told too; most ignore what they do not know.
    if provider.job_metadata is not False:
        request["metadata"] = {METADATA_KEY: mark}
    return request
