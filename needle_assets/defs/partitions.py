"""The two dynamic partition dimensions. Which keys they have lives in the Dagster instance.

Nothing in Dagster validates a key, so every way of adding one goes through here, and the assets
read their key through here once more: the UI can add any text.
"""

from collections.abc import Sequence

import dagster as dg

from needle_assets.evaluation.registry import validate_slug
from needle_assets.haystack.lengths import parse_length

context_lengths = dg.DynamicPartitionsDefinition(name="context_length")
models = dg.DynamicPartitionsDefinition(name="model")
sweeps = dg.MultiPartitionsDefinition({"context_length": context_lengths, "model": models})


def add_context_lengths(instance: dg.DagsterInstance, keys: Sequence[str]) -> list[int]:
    """Add context lengths, all or none; one that is there already stays.

    Raises:
        HaystackError: a key is not a length; none is added.
    """
    lengths = [parse_length(key) for key in keys]
    instance.add_dynamic_partitions("context_length", [str(length) for length in lengths])
    return lengths


def add_model(instance: dg.DagsterInstance, slug: str) -> None:
    """Add a model to the dimension; the registry must know the slug.

    Raises:
        EvaluationError: the slug cannot be a key.
    """
    instance.add_dynamic_partitions("model", [validate_slug(slug)])


def sweep_key(context_length: int, model: str) -> dg.MultiPartitionKey:
    """The key of one partition of ``eval_results``."""
    return dg.MultiPartitionKey({"context_length": str(context_length), "model": model})


def current_sweep(context: dg.OpExecutionContext) -> tuple[int, str]:
    """Context length and model slug of the partition that runs.

    Raises:
        HaystackError: the length is none.
        EvaluationError: the slug cannot be a key.
    """
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise TypeError(f"expected a key of two dimensions, found {key!r}")
    dimensions = key.keys_by_dimension
    return parse_length(dimensions["context_length"]), validate_slug(dimensions["model"])
