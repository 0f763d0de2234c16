"""Conformance of a job that runs to its end, and of the model that comes out: this costs most."""

import json
from typing import Any

from needle_assets.finetune.conformance_bench import (
    Bench,
    Check,
    SkippedCheck,
    expect,
    expect_refusal,
)
from needle_assets.finetune.conformance_jobs import CREATE

_TRAIN = "training: to the end"
_CHAT = "chat: the tuned model answers"
_NOBODY = "needle-no-such-thing"
_QUESTION: list[Any] = [
    {"role": "system", "content": "Answer with a number alone."},
    {"role": "user", "content": "What is 5 plus 7?"},
]
_ANSWER_TOKENS = 32
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}


def _pause(bench: Bench) -> None:
    import openai

    if not bench.capabilities.job_control:
        known = "has no" if bench.capabilities.job_control is False else "is not known to have"
        raise SkippedCheck(f"{bench.capabilities.name} {known} pause and resume")
    jobs = bench.client.fine_tuning.jobs
    job = bench.create_job(bench.uploaded)
    job = bench.wait(job.id, ("running",))
    try:
        jobs.pause(job.id)
    except openai.APIStatusError:
        if bench.status(jobs.retrieve(job.id)) == "succeeded":
            raise SkippedCheck("the job had ended before it could be paused") from None
        raise
    job = bench.wait(job.id, ("paused",))
    if bench.status(job) == "succeeded":
        raise SkippedCheck("the job ended before it paused")
    expect(bench.status(job) == "paused", f"a paused job is {job.status}")
    jobs.resume(job.id)
    job = bench.wait(job.id, ("queued", "running"))
    expect(bench.status(job) != "failed", "a resumed job failed")
    if bench.status(job) != "succeeded":
        jobs.cancel(job.id)


def _train(bench: Bench) -> None:
    job = bench.create_job(bench.uploaded)
    job = bench.wait(job.id, ())
    why = job.error.message if job.error else None
    expect(bench.status(job) == "succeeded", f"the job {job.status}: {why}")
    bench.trained = job.id
    bench.tuned = job.fine_tuned_model or ""
    expect(bool(bench.tuned), f"fine_tuned_model is {job.fine_tuned_model!r}")
    bench.models.append(bench.tuned)
    expect(
        isinstance(job.trained_tokens, int) and job.trained_tokens > 0,
        f"trained_tokens is {job.trained_tokens!r}",
    )
    expect(isinstance(job.finished_at, int), f"finished_at is {job.finished_at!r}")


def _metrics(bench: Bench) -> None:
    events = bench.client.fine_tuning.jobs.list_events(bench.trained, limit=100)
    data = [event.data for event in events.data if event.type == "metrics"]
    expect(bool(data), "the job has no event of type metrics")
    expect(
        any(isinstance(found, dict) and "train_loss" in found for found in data),
        "no event of type metrics has a train_loss",
    )


def _checkpoints(bench: Bench) -> None:
    found = bench.client.fine_tuning.jobs.checkpoints.list(bench.trained).data
    expect(bool(found), "the job has no checkpoint")
    expect(
        all(isinstance(checkpoint.step_number, int) for checkpoint in found),
        "a checkpoint has no step_number",
    )


def _tuned_model(bench: Bench) -> None:
    found = bench.client.models.retrieve(bench.tuned)
    expect(found.id == bench.tuned, f"asked for {bench.tuned!r}, got {found.id!r}")


def _chat(bench: Bench) -> None:
    if bench.capabilities.serves_tuned is False:
        raise SkippedCheck(f"{bench.capabilities.name} does not serve what it has tuned here")
    answer = bench.client.chat.completions.create(
        model=bench.tuned, messages=_QUESTION, max_completion_tokens=_ANSWER_TOKENS
    )
    choice = answer.choices[0]
    expect(isinstance(choice.message.content, str), f"the content is {choice.message.content!r}")
    expect(choice.finish_reason in ("stop", "length"), f"finish_reason is {choice.finish_reason!r}")


def _usage(bench: Bench) -> None:
    answer = bench.client.chat.completions.create(
        model=bench.tuned, messages=_QUESTION, max_completion_tokens=_ANSWER_TOKENS
    )
    usage = answer.usage
    expect(usage is not None, "the answer has no usage")
    if usage is not None:
        expect(usage.prompt_tokens > 0, f"prompt_tokens is {usage.prompt_tokens}")
        expect(
            0 < usage.completion_tokens <= _ANSWER_TOKENS,
            f"completion_tokens is {usage.completion_tokens}, the limit was {_ANSWER_TOKENS}",
        )
        expect(
            usage.total_tokens == usage.prompt_tokens + usage.completion_tokens,
            f"total_tokens is {usage.total_tokens}, which is not the sum of the others",
        )


def _json_schema(bench: Bench) -> None:
    if bench.capabilities.json_schema is False:
        raise SkippedCheck(f"{bench.capabilities.name} takes no JSON schema")
    answer = bench.client.chat.completions.create(
        model=bench.tuned,
        messages=_QUESTION,
        max_completion_tokens=2 * _ANSWER_TOKENS,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "sum", "strict": True, "schema": _SCHEMA},
        },
    )
    said = answer.choices[0].message.content
    value = json.loads(said or "")
    expect(
        isinstance(value, dict) and [*value] == ["sum"] and type(value["sum"]) is int,
        f"an object with an integer `sum` was asked for, {said!r} came",
    )


def _stream(bench: Bench) -> None:
    stream = bench.client.chat.completions.create(
        model=bench.tuned,
        messages=_QUESTION,
        max_completion_tokens=_ANSWER_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [*stream]
    text = "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.delta
    )
    expect(bool(text), f"{len(chunks)} chunks came without any text")
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    expect(any(reasons), "no chunk has a finish_reason")
    expect(any(chunk.usage for chunk in chunks), "usage was asked for and no chunk has it")


def _unknown_model(bench: Bench) -> None:
    expect_refusal(
        lambda: bench.client.chat.completions.create(model=_NOBODY, messages=_QUESTION),
        "a chat with an unknown model",
        (400, 404),
    )


def _delete_model(bench: Bench) -> None:
    deleted = bench.client.models.delete(bench.tuned)
    expect(deleted.deleted is True, f"deleted is {deleted.deleted!r}, expected true")
    expect_refusal(lambda: bench.client.models.retrieve(bench.tuned), "a deleted model", [404])


CHECKS = (
    Check("jobs: pause and resume", _pause, "full", (CREATE,)),
    Check(_TRAIN, _train, "full", (CREATE,)),
    Check("training: events tell the loss", _metrics, "full", (_TRAIN,)),
    Check("training: checkpoints", _checkpoints, "full", (_TRAIN,)),
    Check("models: the tuned one is there", _tuned_model, "full", (_TRAIN,)),
    Check(_CHAT, _chat, "full", (_TRAIN,)),
    Check("chat: usage", _usage, "full", (_CHAT,)),
    Check("chat: JSON schema", _json_schema, "full", (_CHAT,)),
    Check("chat: streaming", _stream, "full", (_CHAT,)),
    Check("chat: an unknown model is refused", _unknown_model, "full", (_CHAT,)),
    Check("models: delete the tuned one", _delete_model, "full", (_TRAIN,)),
)
