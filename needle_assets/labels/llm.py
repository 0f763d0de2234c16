"""Labels biographies by a language model behind an OpenAI-compatible endpoint.

A bad answer is mended, then asked for once more with its error, then given up with the reason.
What a label is, and which labels are refused, is given by the task and its check; requests and
their journal are the room `chat`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel

from needle_assets.chat.answers import Answer, Outcome, request_key
from needle_assets.chat.client import Request, ask_all
from needle_assets.chat.errors import ChatError
from needle_assets.chat.journal import open_journal
from needle_assets.chat.problems import Advice, Server, address_fault
from needle_assets.labels.biography import BIOGRAPHY_TASK, check_label
from needle_assets.labels.repair import Reading, read_label
from needle_assets.labels.tables import (
    Audit,
    Labeled,
    Rejection,
    labels_table,
    quarantine_table,
    require_columns,
)
from needle_assets.labels.task import LabelError, Task

_ATTEMPTS = 2
"""The first, and one more with the error of the first."""

_ASK_AGAIN: frozenset[Outcome] = frozenset(["answered", "truncated"])
"""The others would come out the same: a refusal, a filter, a window that is too small."""

_NOTHING = "(no answer)"
"""Stands for an empty answer when its error is told: some servers take no empty message."""


class Usage(NamedTuple):
    """Tokens of all attempts, as the server counted, and what they cost."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True)
class LLMLabeler:
    """A model at an endpoint, and the journal of what it has answered so far.

    Prices are US dollars per million tokens; None where unknown. ``progress`` is called with
    (biographies done, all).
    """

    base_url: str
    model: str
    journal_path: Path
    api_key: str = field(default="", repr=False)
    task: Task = BIOGRAPHY_TASK
    check: Callable[[BaseModel], None] = check_label
    use_json_schema: bool = True
    input_price: float | None = None
    output_price: float | None = None
    concurrency: int = 8
    timeout_s: float = 300.0
    max_retries: int = 2
    max_answer_tokens: int = 160
    progress: Callable[[int, int], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check what can be checked before a request.

        Raises:
            LabelError: no endpoint, one whose address is none or holds more, no model, or no
                place in flight.
        """
        if not self.base_url:
            raise LabelError("the llm labeler needs an endpoint: set NEEDLE_ENDPOINT_URL")
        if fault := address_fault(self.base_url):
            raise LabelError(
                f"NEEDLE_ENDPOINT_URL is {fault}: it must be such as https://host/v1, with http or "
                "https and nothing behind the path; a key belongs into NEEDLE_ENDPOINT_API_KEY"
            )
        if not self.model:
            raise LabelError("the llm labeler needs a model id: set NEEDLE_LABELER_MODEL")
        if self.concurrency < 1:
            raise LabelError(f"concurrency is {self.concurrency}; it must be at least 1")

    def label(self, bios: pa.Table) -> Labeled:
        """Label biographies (columns ``bio_id``, ``name``, ``bio``; others are left alone).

        Those without a valid label stand in ``quarantine`` with the reason; both tables keep the
        order of ``bios``. An answer that is no label is mended where it is clear what it says
        (`repair`), else asked for once more with its error. Every attempt is journaled as it
        comes; what failed for the server's sake (outcome ``error`` or ``too_long``) is not, so
        that the next run asks it again.

        Raises:
            LabelError: a column is missing; the endpoint cannot be reached, refuses the key or
                the model, or most requests fail. Answers so far stay in the journal.
            StorageError: another run is writing the journal, or it cannot be written.
        """
        require_columns(bios)
        requests = [
            self._request(self._first_messages(name, bio))
            for name, bio in zip(bios["name"].to_pylist(), bios["bio"].to_pylist(), strict=True)
        ]
        # A biography that stands there twice is asked about once.
        distinct = {request.key: request for request in requests}
        rows = _Rows(self, len(distinct))
        try:
            with open_journal(self.journal_path) as journal:
                ask_all(
                    distinct.values(),
                    server=self._server(),
                    parameters=self._parameters(),
                    journal=journal,
                    concurrency=self.concurrency,
                    then=rows.then,
                )
        except ChatError as error:
            raise LabelError(str(error)) from None
        return self._sort_out(bios, [rows.ended[request.key] for request in requests])

    def prompts(self, bios: pa.Table) -> list[str]:
        """The text of each first request, for a quote; `label` may ask once more with an error.

        Raises:
            LabelError: a column is missing.
        """
        require_columns(bios)
        return [
            "\n".join(message["content"] for message in self._first_messages(name, bio))
            for name, bio in zip(bios["name"].to_pylist(), bios["bio"].to_pylist(), strict=True)
        ]

    def read(self, answer: Answer) -> Reading:
        """The label that an answer gives.

        Raises:
            LabelError: it gives none, for the reason said.
        """
        reason = _reason(answer)
        if reason and answer.outcome != "truncated":
            raise LabelError(reason)
        try:
            if reason:
                # Under a JSON grammar small models pad a whole answer with spaces up to the
                # limit. Anything else that was cut may have gone on to say something else.
                reading = Reading(self.task.parse(answer.answer or ""), repaired=False)
            else:
                reading = read_label(self.task, answer.answer or "")
        except LabelError as error:
            raise LabelError(f"{reason}: {error}" if reason else str(error)) from None
        self.check(reading.label)
        return reading

    def ask_again(self, request: Request, answer: Answer, error: str) -> Request:
        """The same request, with the answer that came and what is wrong with it."""
        complaint = (
            f"That answer cannot be used: {error}. Answer again, with one JSON object as described "
            "and nothing else."
        )
        return self._request(
            [
                *request.messages,
                {"role": "assistant", "content": answer.answer or _NOTHING},
                {"role": "user", "content": complaint},
            ]
        )

    def usage(self, attempts: Sequence[Answer]) -> Usage:
        """What attempts took; what is not known of one is not known of all."""
        prompt = _total([answer.prompt_tokens for answer in attempts])
        completion = _total([answer.completion_tokens for answer in attempts])
        known = None not in (prompt, completion, self.input_price, self.output_price)
        cost = (
            ((prompt or 0) * (self.input_price or 0) + (completion or 0) * (self.output_price or 0))
            / 1e6
            if known
            else None
        )
        return Usage(prompt, completion, cost)

    def _first_messages(self, name: str, bio: str) -> list[Mapping[str, Any]]:
        return [
            {"role": "system", "content": self.task.system_prompt},
            {"role": "user", "content": f"{bio}\n{self.task.question(name)}"},
        ]

    def _request(self, messages: list[Mapping[str, Any]]) -> Request:
        sent = {
            "base_url": self.base_url,
            "model": self.model,
            "messages": messages,
            **self._parameters(),
        }
        return Request(request_key(sent), messages)

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "temperature": 0,
            "max_completion_tokens": self.max_answer_tokens,
        }
        if self.use_json_schema:
            parameters["response_format"] = self.task.response_format
        return parameters

    def _server(self) -> Server:
        advice = Advice(
            model=f"the labeler {self.model!r}",
            key="set NEEDLE_ENDPOINT_API_KEY to a key that it takes",
            model_id="set NEEDLE_LABELER_MODEL to an id that it has, and NEEDLE_ENDPOINT_URL to "
            "the base_url that its manual gives for the OpenAI API, most often ending in /v1",
            address="start the server or set NEEDLE_ENDPOINT_URL to another address",
            no_schema="set NEEDLE_LABELER_JSON_SCHEMA to false",
        )
        return Server(
            self.base_url, self.api_key, self.model, advice, self.timeout_s, self.max_retries
        )

    def _sort_out(self, bios: pa.Table, ended: Sequence["_Ended"]) -> Labeled:
        labels: list[BaseModel] = []
        audits: list[Audit] = []
        rejections: list[Rejection] = []
        good: list[int] = []
        bad: list[int] = []
        for row, end in enumerate(ended):
            usage = self.usage(end.attempts)
            if end.reading is None:
                bad.append(row)
                rejections.append(_rejection(end, usage))
            else:
                good.append(row)
                labels.append(end.reading.label)
                audits.append(
                    Audit(
                        repaired=end.reading.repaired,
                        attempts=len(end.attempts),
                        **usage._asdict(),
                    )
                )
        good_rows, bad_rows = (bios.take(pa.array(rows, pa.int64())) for rows in (good, bad))
        return Labeled(
            labels=labels_table(self.task, good_rows, labels, f"llm:{self.model}", audits),
            quarantine=quarantine_table(bad_rows, rejections),
        )


class _Ended(NamedTuple):
    """One biography's last word: a label, or the reason for none."""

    attempts: tuple[Answer, ...]
    reading: Reading | None
    reason: str


class _Rows:
    """What has come of each biography, by the key of its first request."""

    def __init__(self, labeler: LLMLabeler, count: int) -> None:
        self.ended: dict[str, _Ended] = {}
        self._labeler = labeler
        self._count = count
        self._before: dict[str, tuple[str, tuple[Answer, ...]]] = {}

    def then(self, request: Request, answer: Answer) -> Sequence[Request]:
        """Read an answer; what is asked next about its biography."""
        first, before = self._before.pop(request.key, (request.key, ()))
        attempts = (*before, answer)
        reading, reason = None, ""
        try:
            reading = self._labeler.read(answer)
        except LabelError as error:
            reason = str(error)
            if len(attempts) < _ATTEMPTS and answer.outcome in _ASK_AGAIN:
                again = self._labeler.ask_again(request, answer, reason)
                self._before[again.key] = (first, attempts)
                return [again]
        self.ended[first] = _Ended(attempts, reading, reason)
        if self._labeler.progress is not None:
            self._labeler.progress(len(self.ended), self._count)
        return []


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


def _reason(answer: Answer) -> str:
    """Why an answer's text cannot count; empty where it can."""
    reasons: dict[Outcome, str] = {
        "answered": "",
        "refused": "the model refused",
        "truncated": "the answer was cut off at its token limit",
        "filtered": "the endpoint's content filter stopped it",
        "too_long": f"the biography does not fit into the model's context window: {answer.error}",
        "error": f"the request failed: {answer.error}",
    }
    return reasons[answer.outcome]


def _rejection(end: _Ended, usage: Usage) -> Rejection:
    last = end.attempts[-1]
    return Rejection(
        reason=end.reason,
        outcome="invalid" if last.outcome == "answered" else last.outcome,
        answer=last.refusal or last.answer,
        attempts=len(end.attempts),
        **usage._asdict(),
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
