"""``eval_results``: from the questions of a sweep and their answers to one row per question.

No answer is dropped. What one answer is worth is `verdicts`', why a leaf is wrong `anatomy`'s;
means and intervals over many rows are `statistics`', asking is `client`'s.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation.anatomy import Anatomist, LeafError, errors_column, traced
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.excerpts import Excerpt, excerpt, prompts
from needle_assets.evaluation.hay import Hay, haystacks
from needle_assets.evaluation.outcomes import POLICY, Kind, Outcome, Policy
from needle_assets.evaluation.registry import ModelEntry, fits
from needle_assets.evaluation.verdicts import Score, Scorer, comparable, post_score, score_answer
from needle_assets.labels.task import LabelError, Task

__all__ = [
    "POLICY",
    "UNANSWERED",
    "Kind",
    "Outcome",
    "Policy",
    "Score",
    "comparable",
    "post_score",
    "score_answer",
    "score_table",
]

UNANSWERED = "no answer came; run the evaluation again to ask what is missing"

_QUESTION = (
    "example_id",
    "kind",
    "draw",
    "bio_id",
    "name",
    "depth",
    "realised_depth",
    "context_length",
)
_USAGE = ("prompt_tokens", "cached_tokens", "completion_tokens", "latency_s", "attempts", "batched")
_CIRCUMSTANCES = ("fingerprint", "served_model", "request_hash", "evaluated_at")


def score_table(
    task: Task,
    questions: pa.Table,
    answers: pa.Table,
    *,
    entry: ModelEntry,
    run_id: str,
    haystacks_version: str,
    hay: pa.Table | None = None,
) -> pa.Table:
    """``eval_results`` of one (context length, model): one row per question, in their order.

    Args:
        task: the task that was asked.
        questions: of `calibration.sweep_questions`, a table of `calibration.QUESTIONS_SCHEMA`.
        answers: what came back, a table of `client.ANSWERS_SCHEMA` with one row per question at
            most, the floor's included (`calibration.with_floor`). A question without a row
            becomes an ``error``, or ``not_applicable`` where the model's window is shorter than
            the context length.
        entry: the model. Where its prices are unknown, so is every cost but the floor's, which is
            0; batched answers cost its ``batch_share`` of them.
        run_id: the run that scores.
        haystacks_version: of the haystacks that were asked about, whole.
        hay: the bios of the test haystacks, needles included: bio_id (string), tokens (int32, of
            the bio alone), label (canonical JSON by the rules). None: no wrong fact can be traced
            to its source, and none is called swapped.

    Returns:
        Columns, in this order:

        - example_id, kind, draw, bio_id, name, depth, realised_depth (percent), context_length
          (int32), haystacks_version;
        - before, needle, after: the prompt around the needle, see `excerpts`. The ceiling has the
          needle alone, floor and closed book have none; null also where the needle does not stand
          in the prompt;
        - label, answer, outcome, reason;
        - reading: canonical JSON of what was read out of the answer, null where nothing was;
        - ``<leaf>_right`` for each leaf;
        - errors: list of `anatomy.ERROR_TYPE`, the wrong leaves of an answer about a haystack;
          empty where all is right, null for other kinds and where no answer came;
        - score (share of leaves right), exact (strict exact match), post_score;
        - prompt_tokens, cached_tokens, completion_tokens (as the server counted), latency_s,
          attempts (int32), batched, cost_usd;
        - fingerprint, served_model, request_hash, evaluated_at, run_id, model (slug), entry
          (`ModelEntry.identity`).

        Verdicts and scores are null where the policy does not count the outcome.

    Raises:
        EvaluationError: two answers to one question, an answer to a question that is not asked
            here, a label that is not one, or hay of other haystacks.
    """
    _check_answers(questions, answers)
    at = pc.index_in(questions["example_id"], value_set=answers["example_id"].combine_chunks())
    found = answers.take(at)
    scores = _scores(task, questions, found, entry)
    excerpts = _excerpts(questions)
    errors = _errors(task, questions, scores, excerpts, hay)
    counted = np.array([POLICY[score.outcome].counted for score in scores], dtype=bool)
    verdicts = np.array([score.right for score in scores], dtype=bool).reshape(
        len(scores), len(task.leaf_names)
    )

    def measured(values: list[float] | list[bool], kind: pa.DataType) -> pa.Array:
        return pa.array(np.array(values, dtype=kind.to_pandas_dtype()), kind, mask=~counted)

    def constant(value: str) -> pa.Array:
        return pa.array([value] * len(scores), pa.string())

    return pa.table(
        {
            **{name: questions[name] for name in _QUESTION},
            "haystacks_version": constant(haystacks_version),
            "before": pa.array([text and text.before for text in excerpts], pa.string()),
            "needle": questions["needle"],
            "after": pa.array([text and text.after for text in excerpts], pa.string()),
            "label": questions["label"],
            "answer": found["answer"],
            "outcome": pa.array([score.outcome.value for score in scores], pa.string()),
            "reason": pa.array([score.reason for score in scores], pa.string()),
            "reading": pa.array([score.reading for score in scores], pa.string()),
            **{
                f"{name}_right": pa.array(verdicts[:, column], mask=~counted)
                for column, name in enumerate(task.leaf_names)
            },
            "errors": errors,
            "score": measured([score.score for score in scores], pa.float64()),
            "exact": measured([score.exact for score in scores], pa.bool_()),
            "post_score": measured([score.post_score for score in scores], pa.float64()),
            **{name: found[name] for name in _USAGE},
            "cost_usd": _costs(questions["kind"], found, entry),
            **{name: found[name] for name in _CIRCUMSTANCES},
            "run_id": constant(run_id),
            "model": constant(entry.slug),
            "entry": constant(entry.identity),
        }
    )


def _scores(task: Task, questions: pa.Table, found: pa.Table, entry: ModelEntry) -> list[Score]:
    scorer = Scorer(task)
    not_asked = Score(
        Outcome.NOT_APPLICABLE,
        (False,) * len(task.leaf_names),
        0.0,
        f"not asked: the model's window is {entry.context_window} tokens",
    )
    scores = []
    for example_id, label, length, answered, answer, finish_reason, refusal, error in zip(
        *(questions[name].to_pylist() for name in ("example_id", "label", "context_length")),
        *(
            found[name].to_pylist()
            for name in ("example_id", "answer", "finish_reason", "refusal", "error")
        ),
        strict=True,
    ):
        if answered is None and not fits(entry, length):
            scores.append(not_asked)
            continue
        try:
            score = scorer.score(
                label,
                answer,
                finish_reason=finish_reason,
                refusal=refusal,
                error=UNANSWERED if answered is None else error,
            )
        except LabelError as problem:
            raise EvaluationError(
                f"haystacks, example {example_id}: {problem}; materialize needle_labels and "
                "haystacks again"
            ) from None
        scores.append(score)
    return scores


def _excerpts(questions: pa.Table) -> list[Excerpt | None]:
    """The prompt around each needle that stands in a haystack."""
    return [
        excerpt(prompt, needle) if kind == Kind.SWEEP and prompt and needle else None
        for kind, needle, prompt in zip(
            questions["kind"].to_pylist(),
            questions["needle"].to_pylist(),
            prompts(questions["messages"]),
            strict=True,
        )
    ]


def _errors(
    task: Task,
    questions: pa.Table,
    scores: list[Score],
    excerpts: list[Excerpt | None],
    table: pa.Table | None,
) -> pa.Array:
    hay = None if table is None else Hay(task, table)
    stacks = {} if hay is None else haystacks(hay, _orders(hay, questions, excerpts))
    anatomist = Anatomist(task)
    golds = Scorer(task)

    def rows() -> Iterator[list[LeafError] | None]:
        for kind, draw, bio_id, label, needle, score in zip(
            *(questions[name].to_pylist() for name in ("kind", "draw", "bio_id", "label")),
            questions["needle"].to_pylist(),
            scores,
            strict=True,
        ):
            if kind != Kind.SWEEP or not traced(score):
                yield None
                continue
            haystack, row = (None, -1) if hay is None else (stacks[draw], hay.rows[bio_id])
            gold = golds.gold(label).leaves
            yield anatomist.errors(score, gold, needle or "", haystack, row)

    return errors_column(rows())


def _orders(
    hay: Hay, questions: pa.Table, excerpts: list[Excerpt | None]
) -> dict[int, tuple[int, ...]]:
    """The bios of each draw's haystack, as rows of the hay in the order of the prompt."""
    orders: dict[int, tuple[int, ...]] = {}
    fillers = questions["filler_ids"]
    for at, (kind, draw, bio_id, example_id) in enumerate(
        zip(
            *(questions[name].to_pylist() for name in ("kind", "draw", "bio_id", "example_id")),
            strict=True,
        )
    ):
        if kind != Kind.SWEEP:
            continue
        found = excerpts[at]
        line = -1 if found is None else found.line
        if draw not in orders and line >= 0:
            ids = fillers[at].as_py()
            ids.insert(line, bio_id)
            strange = [bio for bio in ids if bio not in hay.rows]
            if strange:
                raise EvaluationError(
                    f"haystacks, example {example_id}: the hay does not know {len(strange)} of its "
                    f"bios ({strange[0]!r} is one); materialize haystacks again from the bios as "
                    "they are now"
                )
            orders[draw] = tuple(hay.rows[bio] for bio in ids)
        # Each needle has to stand where the draw's first row has it: the rows belong together.
        order = orders.get(draw, ())
        if not (0 <= line < len(order)) or hay.ids[order[line]] != bio_id:
            raise EvaluationError(
                f"haystacks, example {example_id}: the needle {bio_id!r} does not stand in its "
                f"prompt where the bios of draw {draw} have it; materialize haystacks again"
            )
    return orders


def _check_answers(questions: pa.Table, answers: pa.Table) -> None:
    counts = pc.value_counts(answers["example_id"])
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise EvaluationError(
            f"{len(twice)} questions have more than one answer, {twice[0]} among them; one row "
            "per question was expected"
        )
    known = pc.is_in(answers["example_id"], value_set=questions["example_id"].combine_chunks())
    strange = answers["example_id"].filter(pc.invert(known))
    if len(strange):
        raise EvaluationError(
            f"{len(strange)} answers belong to no question of these haystacks, {strange[0]} among "
            "them; evaluate the haystacks as they are now"
        )


def _costs(
    kinds: pa.ChunkedArray, answers: pa.Table, entry: ModelEntry
) -> pa.Array | pa.ChunkedArray:
    """US dollars per row; null where prices or token counts are unknown."""
    dollars: pa.Array | pa.ChunkedArray = pa.nulls(answers.num_rows, pa.float64())
    if entry.prices is not None:
        cached = pc.coalesce(answers["cached_tokens"], 0)
        counts = (answers["prompt_tokens"], cached, answers["completion_tokens"])
        share = pc.if_else(pc.coalesce(answers["batched"], False), entry.batch_share, 1.0)
        # Arrow has operators for arrays, but none for chunked ones.
        whole = (count.combine_chunks() for count in counts)
        dollars = pc.multiply(entry.prices.cost_usd(*whole), share)
    # Nothing was bought for the floor, whatever anything costs.
    return pc.if_else(pc.equal(kinds, Kind.FLOOR), 0.0, dollars)
