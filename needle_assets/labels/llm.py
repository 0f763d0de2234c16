"""Labels biographies by a language model behind an OpenAI-compatible endpoint.

Every answer is journaled as it arrives, so that a run that died asks only for what is missing.
What a label is, and which labels are refused, is given by the task and its check.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

import pyarrow as pa
from pydantic import BaseModel

from needle_assets import storage
from needle_assets.labels.biography import BIOGRAPHY_TASK, check_label
from needle_assets.labels.tables import Labeled, labels_table, rejected_table, require_columns
from needle_assets.labels.task import LabelError, Task

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletion

Outcome = Literal["answered", "refused", "truncated", "filtered", "too_long"]

# A server says so of one biography; everything else it refuses concerns them all.
_ONE_ROW_ERRORS: dict[str | None, Outcome] = {
    "content_filter": "filtered",
    "content_policy_violation": "filtered",
    "context_length_exceeded": "too_long",
}

_REASONS: dict[str, str] = {
    "refused": "the model refused",
    "truncated": "the answer was cut off at its token limit",
    "filtered": "the endpoint's content filter stopped it",
    "too_long": "the biography is longer than the model's context window",
}


@dataclass(frozen=True)
class Answer:
    """What came back for one biography."""

    outcome: Outcome
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class LLMLabeler:
    """A model at an endpoint, and the journal of what it has answered so far.

    ``progress`` is called with (answered, all) after every answer.
    """

    base_url: str
    model: str
    journal_path: Path
    api_key: str = field(default="", repr=False)
    task: Task = BIOGRAPHY_TASK
    check: Callable[[BaseModel], None] = check_label
    use_json_schema: bool = True
    concurrency: int = 8
    timeout_s: float = 300.0
    max_retries: int = 2
    max_answer_tokens: int = 160
    progress: Callable[[int, int], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check what can be checked before a request.

        Raises:
            LabelError: no endpoint, no model, or no place in flight.
        """
        if not self.base_url:
            raise LabelError("the llm labeler needs an endpoint: set NEEDLE_ENDPOINT_URL")
        if not self.model:
            raise LabelError("the llm labeler needs a model id: set NEEDLE_LABELER_MODEL")
        if self.concurrency < 1:
            raise LabelError(f"concurrency is {self.concurrency}; it must be at least 1")

    def label(self, bios: pa.Table) -> Labeled:
        """Label biographies (columns ``bio_id``, ``name``, ``bio``).

        Those without a valid label stand in ``rejected`` with the reason; both tables keep the
        order of ``bios``.

        Raises:
            LabelError: a column is missing; the endpoint cannot be reached, refuses the key or
                the model, or fails again and again. Answers so far stay in the journal.
            StorageError: another run is writing the journal.
        """
        require_columns(bios)
        requests = [
            self._request(name, bio)
            for name, bio in zip(bios["name"].to_pylist(), bios["bio"].to_pylist(), strict=True)
        ]
        keys = [_key(self.base_url, request) for request in requests]
        with storage.exclusive(self.journal_path, f"the label journal {self.journal_path}"):
            answers = _read_journal(self.journal_path)
            missing = {
                key: request
                for key, request in zip(keys, requests, strict=True)
                if key not in answers
            }
            if missing:
                with self.journal_path.open("a", encoding="utf-8") as journal:
                    asyncio.run(self._ask_all(missing, answers, journal))
        return self._sort_out(bios, [answers[key] for key in keys])

    def _request(self, name: str, bio: str) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": self.task.system_prompt},
                {"role": "user", "content": f"{bio}\n{self.task.question(name)}"},
            ],
            "temperature": 0,
            "max_completion_tokens": self.max_answer_tokens,
        }
        if self.use_json_schema:
            request["response_format"] = self.task.response_format
        return request

    async def _ask_all(
        self, missing: dict[str, dict[str, Any]], answers: dict[str, Answer], journal: TextIO
    ) -> None:
        import openai

        total = len(missing)
        queue = iter(missing.items())
        done = 0

        async def work(client: openai.AsyncOpenAI) -> None:
            nonlocal done
            # The workers share one iterator: each takes the next request when it is free.
            for key, request in queue:
                answer = await self._ask(client, request)
                answers[key] = answer
                journal.write(_journal_line(key, answer))
                journal.flush()
                done += 1
                if self.progress is not None:
                    self.progress(done, total)

        # The SDK would look for a key in the environment if it were given none.
        async with openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=self.api_key or "none",
            timeout=self.timeout_s,
            max_retries=self.max_retries,
        ) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, total)):
                        group.create_task(work(client))
            except ExceptionGroup as errors:
                known = errors.subgroup((openai.APIError, LabelError))
                if known is None:
                    raise
                # The SDK's own message may quote the key: it must not show as the cause.
                raise self._as_label_error(_first(known), done, total) from None

    async def _ask(self, client: "openai.AsyncOpenAI", request: dict[str, Any]) -> Answer:
        import openai

        try:
            completion = await client.chat.completions.create(**request)
        except openai.BadRequestError as error:
            outcome = _ONE_ROW_ERRORS.get(error.code)
            if outcome is None:
                raise
            return Answer(outcome, "")
        except json.JSONDecodeError:
            completion = None
        answer = _read_completion(completion)
        if answer is None:
            raise LabelError(
                f"the endpoint {self.base_url} answers, but not with a chat completion: "
                "check NEEDLE_ENDPOINT_URL (it usually ends in /v1)"
            )
        return answer

    def _as_label_error(self, error: Exception, done: int, total: int) -> LabelError:
        import openai

        kept = f"{done:,} of {total:,} answers are journaled; run again to ask for the rest."
        where = f"the endpoint {self.base_url}"
        if isinstance(error, LabelError):
            return LabelError(f"{error}. {kept}")
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return LabelError(f"{where} refuses the key: set NEEDLE_ENDPOINT_API_KEY. {kept}")
        if isinstance(error, openai.NotFoundError):
            return LabelError(
                f"{where} has no model {self.model!r} (or no /chat/completions): "
                f"check NEEDLE_LABELER_MODEL and NEEDLE_ENDPOINT_URL. {kept}"
            )
        if isinstance(error, openai.APITimeoutError):
            return LabelError(f"{where} did not answer within {self.timeout_s:g} s. {kept}")
        if isinstance(error, openai.APIConnectionError):
            return LabelError(f"{where} cannot be reached: is it running? {kept}")
        message = str(error)
        if self.api_key:
            message = message.replace(self.api_key, "***")
        return LabelError(f"{where} failed: {message}. {kept}")

    def _sort_out(self, bios: pa.Table, answers: Sequence[Answer]) -> Labeled:
        labels: list[BaseModel] = []
        good: list[int] = []
        bad: list[int] = []
        reasons: list[str] = []
        for row, answer in enumerate(answers):
            try:
                labels.append(self._read_label(answer))
                good.append(row)
            except LabelError as error:
                bad.append(row)
                reasons.append(str(error))
        good_rows, bad_rows = (bios.take(pa.array(rows, pa.int64())) for rows in (good, bad))
        return Labeled(
            labels=labels_table(self.task, good_rows, labels, f"llm:{self.model}"),
            rejected=rejected_table(bad_rows, reasons, [answers[row].text for row in bad]),
        )

    def _read_label(self, answer: Answer) -> BaseModel:
        if answer.outcome != "answered":
            raise LabelError(_REASONS[answer.outcome])
        label = self.task.parse(answer.text)
        self.check(label)
        return label


def resolve_labeler(
    setting: Literal["auto", "rules", "llm"], endpoint_url: str
) -> Literal["rules", "llm"]:
    """Which labeler a setting means: ``auto`` is the model where an endpoint is configured.

    Raises:
        LabelError: ``llm`` without an endpoint.
    """
    if setting == "llm" and not endpoint_url:
        raise LabelError("NEEDLE_LABELER is llm, but NEEDLE_ENDPOINT_URL is not set")
    if setting == "auto":
        return "llm" if endpoint_url else "rules"
    return setting


def _first(errors: ExceptionGroup[Any]) -> Exception:
    error: Exception = errors
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _read_completion(completion: "ChatCompletion | None") -> Answer | None:
    # The SDK passes a page on as a string, and an error with status 200 without any choice.
    if completion is None or isinstance(completion, str) or not completion.choices:
        return None
    choice = completion.choices[0]
    usage = completion.usage
    text = choice.message.content or ""
    outcome: Outcome = "answered"
    if choice.message.refusal:
        outcome, text = "refused", choice.message.refusal
    elif choice.finish_reason == "length" and not _is_json(text):
        # Under a JSON grammar small models pad a complete answer with spaces up to the limit.
        outcome = "truncated"
    elif choice.finish_reason == "content_filter":
        outcome = "filtered"
    return Answer(
        outcome,
        text,
        usage.prompt_tokens if usage else 0,
        usage.completion_tokens if usage else 0,
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _key(base_url: str, request: dict[str, Any]) -> str:
    """Hex sha256 over everything that can change an answer."""
    sent = json.dumps({"base_url": base_url, **request}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(sent.encode()).hexdigest()


def _journal_line(key: str, answer: Answer) -> str:
    return json.dumps({"key": key, **vars(answer)}, ensure_ascii=True) + "\n"


def _read_journal(path: Path) -> dict[str, Answer]:
    """Answers by key. A last line without its newline was cut off by a crash: it is removed."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as journal:
            journal.truncate(len(whole))
    return dict(_entries(path, whole))


def _entries(path: Path, content: bytes) -> Iterator[tuple[str, Answer]]:
    for number, line in enumerate(content.splitlines(), 1):
        try:
            entry = json.loads(line)
            yield entry.pop("key"), Answer(**entry)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise LabelError(
                f"line {number} of the label journal {path} is damaged: remove the line, and its "
                "biography is asked again"
            ) from None
