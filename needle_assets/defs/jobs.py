"""What people launch by name: the dataset, a fine-tune, an evaluation, a new length or model."""

import dagster as dg
from pydantic import Field

from needle_assets.defs.failures import as_failure
from needle_assets.defs.partitions import (
    add_context_lengths,
    add_model,
    context_lengths,
    sweeps,
)
from needle_assets.defs.resources import Models
from needle_assets.evaluation.registry import ModelEntry

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.assets(
        "raw_wiki_bio", "anonymized_bios", "filtered_needles", "needle_labels", "label_review"
    ),
    description="From the corpus to checked needles and labels, and what to look at in them.",
)

finetune = dg.define_asset_job(
    "finetune",
    selection=dg.AssetSelection.assets("finetune_upload", "finetuned_model"),
    partitions_def=context_lengths,
    description="Upload the training file of one context length, tune a model on it, register it.",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets("eval_results"),
    partitions_def=sweeps,
    description="Ask one model about the haystacks of one context length.",
)


class ContextLengths(dg.Config):
    """Which lengths to add."""

    context_lengths: list[str] = Field(description="Tokens, in plain digits: 4096.")


@dg.op
def add_lengths(context: dg.OpExecutionContext, config: ContextLengths) -> None:
    """Add partitions to the ``context_length`` dimension, all or none."""
    with as_failure():
        lengths = add_context_lengths(context.instance, config.context_lengths)
    context.log.info("context lengths %s can be launched now", lengths)


@dg.job(config=dg.RunConfig({"add_lengths": ContextLengths(context_lengths=["4096"])}))
def add_context_length() -> None:
    """Add context lengths; then materialize their partitions of ``haystacks``."""
    add_lengths()


class Model(dg.Config):
    """A model behind an OpenAI-compatible server."""

    slug: str = Field(description="Its name here: lower-case letters, digits, '.', '-', '_'.")
    base_url: str = Field(description="Address of the server, ending in /v1.")
    model: str = Field(description="Its id at that server.")
    context_window: int = Field(description="Tokens of prompt and answer together.")
    api_key_env: str | None = Field(
        default=None, description="Environment variable that holds the key; never the key itself."
    )
    json_schema: bool = Field(
        default=True, description="Whether the server takes a JSON schema in response_format."
    )


@dg.op
def add_registered_model(
    context: dg.OpExecutionContext, config: Model, models: dg.ResourceParam[Models]
) -> None:
    """Write the registry entry and add the partition."""
    with as_failure():
        models.registry.add(ModelEntry(**config.model_dump()))
        add_model(context.instance, config.slug)


# What the launchpad opens with: every key, and values that fail until they are filled in.
_TO_FILL_IN = Model(slug="", base_url="http://localhost:8000/v1", model="", context_window=0)


@dg.graph
def model_registration() -> None:
    """Register a model; then materialize its partitions of ``eval_results``."""
    add_registered_model()


# Its graph has a name of its own: the last op of a fine-tune is called register_model, too.
register_model = model_registration.to_job(
    name="register_model",
    description="Register a model; then materialize its partitions of eval_results.",
    config=dg.RunConfig({"add_registered_model": _TO_FILL_IN}),
)
