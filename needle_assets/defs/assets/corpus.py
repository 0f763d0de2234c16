"""The corpus group: biographies as they come, and under their new names."""

import dagster as dg
import pyarrow as pa

from needle_assets.batches import worker_count
from needle_assets.corpus.anonymize import anonymize
from needle_assets.corpus.readers import read_corpus
from needle_assets.corpus.sample import sample_corpus
from needle_assets.corpus.splits import assign_splits
from needle_assets.corpus.tables import column_of, require_rows
from needle_assets.defs import metadata
from needle_assets.defs.automation import when_inputs_change
from needle_assets.defs.failures import as_failure
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.resources import Tokenizer
from needle_assets.settings import Settings


@dg.asset(group_name="corpus", kinds={"parquet"})
def raw_wiki_bio(settings: dg.ResourceParam[Settings]) -> dg.Output[pa.Table]:
    """Biographies with infoboxes as in wiki_bio: the corpus that is set, or the built-in sample."""
    with as_failure():
        if settings.corpus:
            raw = read_corpus(settings.corpus)
        else:
            raw = sample_corpus(settings.sample_rows, settings.seed)
    return metadata.materialized(raw, {"corpus": settings.corpus or "built-in sample"})


@dg.asset(group_name="corpus", kinds={"parquet"}, automation_condition=when_inputs_change)
def anonymized_bios(
    raw_wiki_bio: pa.Table,
    settings: dg.ResourceParam[Settings],
    tokenizer: dg.ResourceParam[Tokenizer],
    progress: dg.ResourceParam[ProgressFactory],
) -> dg.Output[pa.Table]:
    """Biographies under new, unique names, each counted in tokens and assigned to one split."""
    with as_failure():
        anonymized = anonymize(
            raw_wiki_bio,
            seed=settings.seed,
            workers=worker_count(settings.workers),
            progress=progress("Anonymising"),
        )
        require_rows(anonymized.table, anonymized.total, anonymized.funnel, "hay")
        tokens = tokenizer.reference.count(anonymized.table["bio"].to_pylist())
        titles = column_of(raw_wiki_bio, "title", anonymized.table)
        bios = anonymized.table.append_column("token_count", pa.array(tokens)).append_column(
            "split", assign_splits(anonymized.table, settings.seed, persons=titles)
        )
    return metadata.materialized(
        bios,
        {
            "tokens": int(tokens.sum()),
            "tokenizer": tokenizer.reference.name,
            "dropped": metadata.counts("reason", anonymized.funnel),
            "persons": metadata.value_counts(bios["is_person"]),
            "person_reasons": metadata.value_counts(bios["person_reason"]),
            "splits": metadata.value_counts(bios["split"]),
            "token_histogram": metadata.token_histogram(tokens, "Tokens of a biography"),
        },
    )
