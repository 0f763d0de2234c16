"""Asking a model every question of a sweep through its server's `/v1/batches`, at its batch price.

The same requests, and so the same journal, as `client`, which asks one by one. What an answer is
worth is `scoring`'s affair.
"""

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from upath import UPath

from needle_assets.chat import batches
from needle_assets.chat.batch_lines import Limits
from needle_assets.chat.batch_records import BatchReceipt
from needle_assets.chat.batches import BatchRound, BatchWork
from needle_assets.chat.client import Request
from needle_assets.chat.clients import openai_client
from needle_assets.chat.errors import ChatError
from needle_assets.chat.remote import Clock, Sleep
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.journal import Answer, Journal
from needle_assets.evaluation.registry import ModelEntry
from needle_assets.evaluation.requests import Question, parameters_of, request_of, server_of
from needle_assets.labels.task import Task

__all__ = ["BatchReceipt", "BatchSweep", "BeforeCreate", "batch_sweep", "end_round"]

BeforeCreate = Callable[[Sequence[Question], int], None]
"""Given the questions that are about to be paid for, and how many of the round are already."""

_REQUEST_S = 60.0
"""Deadline of the small requests about a batch: no model works while one waits."""


class BatchSweep:
    """One evaluation round of one model through batches. Made by `batch_sweep`.

    Every method may be killed at any instant and called again: no question is paid twice.
    """

    def __init__(
        self, questions: Sequence[Question], requests: Sequence[Request], asking: BatchRound
    ) -> None:
        self._questions = questions
        self._requests = requests
        self._asking = asking

    def submit(
        self,
        journal: Journal,
        *,
        before_create: BeforeCreate | None = None,
    ) -> BatchReceipt:
        """Have a batch for every question that the journal has no answer to.

        Args:
            journal: of the round; answers of batches that ended before are added to it.
            before_create: what it raises passes through, and nothing is created.

        Raises:
            EvaluationError: the server refuses, does not answer, or has no batches.
            StorageError: another run is submitting, or nothing can be written.
        """
        with _as_evaluation():
            return self._asking.submit(journal, before_create=self._of_questions(before_create))

    def complete(
        self,
        receipt: BatchReceipt,
        journal: Callable[[], AbstractContextManager[Journal]],
        *,
        timeout_s: float,
        attempts: int = 3,
        on_progress: Callable[[int, int], None] | None = None,
        on_submit: Callable[[BatchReceipt], None] | None = None,
        before_create: BeforeCreate | None = None,
    ) -> BatchReceipt:
        """Wait for the batches, and ask in further ones what expired or got lost.

        Args:
            receipt: of `submit`.
            journal: opens the round's journal, which is not held while batches are waited for.
            timeout_s: each wait at most.
            attempts: how often it is waited, and so asked, at most.
            on_progress: called with (questions done, questions in the newest batches).
            on_submit: called with the receipt whenever there are new batches.
            before_create: as for `submit`.

        Raises:
            EvaluationError: as `submit`; or the time is over, or a batch was refused or cancelled.
            StorageError: as `submit`.
        """
        with _as_evaluation():
            return self._asking.complete(
                receipt,
                journal,
                timeout_s=timeout_s,
                attempts=attempts,
                on_progress=on_progress,
                on_submit=on_submit,
                before_create=self._of_questions(before_create),
            )

    def answers(self, receipt: BatchReceipt, journal: Journal) -> list[Answer]:
        """The answers in the questions' order; what no batch has an answer to, has ``error`` set.

        Nothing is asked: what the journal lacks is read out of the receipt's batches.

        Raises:
            EvaluationError: the server refuses or does not answer.
            StorageError: the journal cannot be written.
        """
        with _as_evaluation():
            found = self._asking.answers(self._asking.collect(receipt, journal), journal)
        return [
            Answer(example_id=question.example_id, **vars(found[request.key]))
            for question, request in zip(self._questions, self._requests, strict=True)
        ]

    def cancel(self, receipt: BatchReceipt) -> tuple[str, ...]:
        """Cancel the batches that go on, and return their ids; what is answered is paid for."""
        return self._asking.cancel(receipt)

    def _of_questions(self, before_create: BeforeCreate | None) -> batches.BeforeCreate | None:
        if before_create is None:
            return None
        by_key = {
            request.key: question
            for question, request in zip(self._questions, self._requests, strict=True)
        }
        return lambda requests, paid: before_create(
            [by_key[request.key] for request in requests], paid
        )


@contextmanager
def batch_sweep(
    questions: Sequence[Question],
    *,
    entry: ModelEntry,
    base_url: str,
    api_key: str,
    task: Task,
    max_completion_tokens: int,
    seed: int,
    name: str,
    notes: UPath | Path,
    timeout_s: float = _REQUEST_S,
    limits: Limits | None = None,
    warn: Callable[[str], None] = lambda _said: None,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> Iterator[BatchSweep]:
    """A sweep through batches, connected for the length of the block.

    Args:
        questions: example ids differ.
        entry: the model.
        base_url: where it is served.
        api_key: sent to it; never part of a message, a receipt, a row or the journal.
        task: gives the JSON schema, which is sent where the entry says the server takes one.
        max_completion_tokens: the answer's limit.
        seed: sent with every request, for servers that sample.
        name: of a round that begins here, such as the run's; no other round of the model has it.
        notes: a file of the store. As long as it is there, its round goes on: see `end_round`.
        timeout_s: deadline of one request to the server, of an upload too.
        limits: of one batch, where the server's differ from OpenAI's.
        warn: called with what was not as it should be in the files of batches.
        sleep: waits for seconds.
        clock: seconds, for waits and deadlines.
        now: the time in UTC, where a server does not tell when a batch ended.
    """
    parameters = parameters_of(entry, task, max_completion_tokens, seed)
    requests = [request_of(entry, parameters, question) for question in questions]
    server = server_of(entry, base_url, api_key, timeout_s)
    with openai_client(base_url, api_key, timeout_s=timeout_s, max_retries=0) as client:
        asking = BatchRound(
            client,
            BatchWork(server, requests, parameters),
            name=name,
            notes=notes,
            limits=limits,
            warn=warn,
            sleep=sleep,
            clock=clock,
            now=now,
        )
        yield BatchSweep(questions, requests, asking)


def end_round(notes: UPath | Path) -> None:
    """Let the next `submit` begin another round.

    To be called before the round's journal is put aside: a journal without a note has all its
    answers, but a note without a journal would bring the old answers back.
    """
    UPath(notes).unlink(missing_ok=True)


@contextmanager
def _as_evaluation() -> Iterator[None]:
    try:
        yield
    except ChatError as error:
        raise EvaluationError(str(error)) from None
