"""How an evaluation's questions are asked one by one, and what that may cost.

Asking itself is `evaluation.client`'s; batches are `batching`'s.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.chat.answers import Answer as ChatAnswer
from needle_assets.chat.limits import Limits
from needle_assets.defs.journals import journal_epoch, journal_folder
from needle_assets.defs.partitions import current_sweep
from needle_assets.defs.planning import plan_partition
from needle_assets.defs.progress import ProgressFactory
from needle_assets.defs.provenance import changed_inputs
from needle_assets.defs.resources import Models, Tokenizer
from needle_assets.evaluation.calibration import asked, sweep_questions
from needle_assets.evaluation.client import answers_table, ask_all, unanswered
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.journal import Answer, open_journal
from needle_assets.evaluation.plan import Plan, check_affordable
from needle_assets.evaluation.registry import ModelEntry
from needle_assets.evaluation.requests import Question
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings

_ENTRY = b"needle/model_entry"
"""Metadata of a table of answers: the registry may be edited before they are scored."""


def test_rows(haystacks: pa.Table) -> pa.Table:
    """Those that are evaluated with."""
    return haystacks.filter(pc.field("split") == "test")


def questions_of(haystacks: pa.Table) -> list[Question]:
    """What is sent about the haystacks of one length."""
    test = test_rows(haystacks)
    tokens = dict(
        zip(test["example_id"].to_pylist(), test["prompt_tokens"].to_pylist(), strict=True)
    )
    sent = asked(sweep_questions(BIOGRAPHY_TASK, test)).select(["example_id", "draw", "messages"])
    return [Question(**row, tokens=tokens.get(row["example_id"])) for row in sent.to_pylist()]


def bios_of(test: pa.Table) -> pa.ChunkedArray:
    """Ids of all bios in test haystacks, with repeats."""
    fillers = pa.chunked_array([pc.list_flatten(chunk) for chunk in test["filler_ids"].chunks])
    return pa.chunked_array([*test["bio_id"].chunks, *fillers.chunks], pa.string())


def look_before_asking(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    asked: Sequence[Question],
    paid: int = 0,
    *,
    settings: Settings,
    models: Models,
    tokenizer: Tokenizer,
) -> None:
    """Refuse to begin a round about haystacks of the past, then `quote`; arguments are its.

    Its answers would be in no mean, and where they came from could not be told. A round that has
    begun goes on: it is paid for.

    Raises:
        EvaluationError: what the haystacks were built from has changed since; or as `quote`.
    """
    length, _ = current_sweep(context)
    stale = changed_inputs(context.instance, str(length))
    if stale and not paid and len(asked) == len(questions_of(haystacks)):
        raise EvaluationError(
            f"{' and '.join(stale)} changed since the haystacks of {length} were built; "
            f"materialize haystacks at {length} again; nothing was sent"
        )
    if stale:
        context.log.warning(
            "%s changed since the haystacks of %d were built; the round that has begun goes on, "
            "and the leaderboard leaves its results out",
            " and ".join(stale),
            length,
        )
    quote(context, haystacks, asked, paid, settings=settings, models=models, tokenizer=tokenizer)


def quote(
    context: dg.OpExecutionContext,
    haystacks: pa.Table,
    asked: Sequence[Question],
    paid: int = 0,
    *,
    settings: Settings,
    models: Models,
    tokenizer: Tokenizer,
) -> None:
    """Say what is about to be asked and comes to, and hold it against the caps.

    Asking one by one keeps to the caps as it goes, so that a plan that cannot be made is only
    logged. Nothing stops a batch once it is made: the most that it may come to must fit.

    Args:
        context: of an op of one partition.
        haystacks: of the partition.
        asked: the questions without an answer.
        paid: how many the round's batches have answered already: they count, too.
        settings: name the store and the caps.
        models: the registered ones.
        tokenizer: the reference tokenizer.

    Raises:
        EvaluationError: it costs more than NEEDLE_MAX_COST_USD, or nobody knows what it costs and
            there is such a cap; or a batch may be over it or over NEEDLE_EVAL_MAX_TOKENS.
    """
    _, slug = current_sweep(context)
    entry = models.registry.get(slug)
    caps = (settings.max_cost_usd, settings.eval_max_tokens)
    try:
        plan = plan_partition(settings, slug, test_rows(haystacks), tokenizer=tokenizer)
    # It reads what asking does not, of any version: results of other lengths, needles.
    except Exception as error:
        if entry.batch and caps != (None, None):
            raise EvaluationError(
                f"nobody can tell what a batch to {slug} comes to, and there is a cap: {error}; "
                "mend that, or take the cap away; nothing was sent"
            ) from error
        context.log.warning("what this evaluation comes to is not known: %s", error)
        return
    context.log.info(
        "before the first call: %d of %d questions are asked; all would be %s",
        len(asked),
        plan.requests,
        plan,
    )
    try:
        _check_caps(plan, len(asked) + paid, entry, settings)
    except EvaluationError:
        if not paid:
            raise
        # Asking less would take other haystacks, and leave behind what is paid for.
        raise EvaluationError(
            f"{paid} questions to {plan.model} at {plan.context_length:,} are in batches already, "
            f"and {len(asked)} more in another one may come to more than NEEDLE_MAX_COST_USD or "
            "NEEDLE_EVAL_MAX_TOKENS, at the most that each may cost; raise the cap and run again: "
            "the answers that came are kept, and those that are missing are asked alone"
        ) from None


def _check_caps(plan: Plan, asked: int, entry: ModelEntry, settings: Settings) -> None:
    share = asked / max(1, plan.requests)
    usd = plan.usd_at_most if entry.batch else plan.usd
    of_asked = dataclasses.replace(
        plan,
        usd=None if usd is None else share * usd,
        usd_at_most=None if plan.usd_at_most is None else share * plan.usd_at_most,
    )
    check_affordable([of_asked], settings.max_cost_usd)
    cap = settings.eval_max_tokens
    tokens = round(share * plan.prompt_tokens) + asked * settings.answer_tokens
    if entry.batch and cap is not None and tokens > cap:
        raise EvaluationError(
            f"{asked} questions to {plan.model} at {plan.context_length:,} in a batch may "
            f"come to {tokens:,} tokens, more than the {cap:,} of NEEDLE_EVAL_MAX_TOKENS, and "
            "nothing stops a batch at a cap; raise it, or register the model without --batch to "
            "ask as far as it goes; nothing was sent"
        )


def ask(
    context: dg.OpExecutionContext,
    questions: Sequence[Question],
    settings: Settings,
    models: Models,
    progress: ProgressFactory,
    before_asking: Callable[[Sequence[Question]], None] | None = None,
) -> pa.Table:
    """Ask what the round's journal has no answer to.

    Args:
        context: of an op of one partition.
        questions: all of the partition.
        settings: of the project.
        models: the registered ones.
        progress: makes the callback that is told how many questions are done.
        before_asking: called with the questions that have no answer yet, if there are any; what it
            raises passes through, and nothing is asked.

    Returns:
        All answers in the questions' order, with the entry that was asked: see `answered_by`.

    Raises:
        NeedleError: as `evaluation.client.ask_all`, or the model cannot be reached.
    """
    length, slug = current_sweep(context)
    folder = journal_folder(settings, length, slug)
    with open_journal(folder, journal_epoch(context)) as journal:
        missing = unanswered(
            questions,
            entry=models.registry.get(slug),
            task=BIOGRAPHY_TASK,
            journal=journal,
            max_completion_tokens=settings.answer_tokens,
            seed=settings.seed,
        )
        if missing and before_asking is not None:
            before_asking(missing)
        with models.connect(slug) as connection:
            answers = ask_all(
                questions,
                entry=connection.entry,
                base_url=connection.base_url,
                api_key=connection.api_key,
                task=BIOGRAPHY_TASK,
                journal=journal,
                max_completion_tokens=settings.answer_tokens,
                concurrency=settings.concurrency,
                timeout_s=settings.request_timeout_s,
                deadline_s=settings.request_deadline_s,
                seed=settings.seed,
                limits=_limits(settings, connection.entry),
                on_progress=progress(f"Questions to {slug} at {length}"),
            )
            # The registry may have been edited since anybody else looked.
            return answered_by(connection.entry, answers)


def answered_by(entry: ModelEntry, answers: Iterable[Answer]) -> pa.Table:
    """The answers as a table that knows whose they are; `entry_of` reads it."""
    return answers_table(answers).replace_schema_metadata({_ENTRY: entry.model_dump_json()})


def entry_of(answers: pa.Table) -> ModelEntry:
    """The registry's entry as it was when the questions were asked."""
    return ModelEntry.model_validate_json(answers.schema.metadata[_ENTRY])


def _limits(settings: Settings, entry: ModelEntry) -> Limits:
    def cost(answer: ChatAnswer) -> float | None:
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        if entry.prices is None or prompt is None or completion is None:
            return None
        return entry.prices.cost_usd(prompt, answer.cached_tokens or 0, completion)

    return Limits(
        max_cost_usd=settings.max_cost_usd,
        max_tokens=settings.eval_max_tokens,
        max_s=settings.eval_max_s,
        cost=cost,
    )
