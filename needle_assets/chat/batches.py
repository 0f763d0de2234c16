"""Many chat completions through `/v1/batches`: asked within a day, mostly at half the price.

    asking = BatchRound(client, work, name="...", notes=path)
    receipt = asking.submit(journal)
    receipt = asking.complete(receipt, open_journal, timeout_s=...)
    collected = asking.collect(receipt, journal)

Any of it may be killed at any instant and called again: no question is paid twice. Asking one by
one is `client`'s; what an answer is worth is the caller's affair.
"""

import dataclasses
import datetime
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from needle_assets.chat.answers import Answer
from needle_assets.chat.batch_calls import Calls
from needle_assets.chat.batch_collect import Collected, collect
from needle_assets.chat.batch_lines import (
    BatchAnswer,
    Limits,
    parts_of,
    request_line,
)
from needle_assets.chat.batch_records import (
    STOPPED,
    BatchReceipt,
    BatchRecord,
    Label,
    fingerprint,
    round_mark,
)
from needle_assets.chat.batch_submit import Notes, Submission
from needle_assets.chat.batch_wait import waited
from needle_assets.chat.client import Request
from needle_assets.chat.clients import public_address
from needle_assets.chat.errors import ChatError
from needle_assets.chat.journal import Journal
from needle_assets.chat.problems import Server
from needle_assets.chat.remote import Clock, Sleep

if TYPE_CHECKING:
    from openai import OpenAI

NOT_ANSWERED = "NotAnswered"
"""``error_type`` of a request that no batch has an answer to."""

OpenJournal = Callable[[], AbstractContextManager[Journal]]

BeforeCreate = Callable[[Sequence[Request], int], None]
"""Given what is about to be asked, and how many answers of the round are paid for already."""


@dataclasses.dataclass(frozen=True)
class BatchWork:
    """What is asked, as `client.ask_all` would be given it."""

    server: Server
    requests: Sequence[Request]
    parameters: Mapping[str, Any]


class BatchRound:
    """One round of requests through a server's batches.

    A round begins when its first batch is submitted, and lasts as long as its note lies there.
    The server's list is searched for the round's batches before every create.
    """

    def __init__(
        self,
        client: "OpenAI",
        work: BatchWork,
        *,
        name: str,
        notes: UPath | Path,
        limits: Limits | None = None,
        sleep: Sleep = time.sleep,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        patience_s: float = 600.0,
        lag_s: float = 120.0,
        creates: int = 3,
        warn: Callable[[str], None] = lambda _said: None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            client: of the server; close it yourself.
            work: what is asked.
            name: of the round, if one begins; a note that is there goes before it. No other round
                of that model at that server may have it.
            notes: a file of the store. In it a run says what it is about to create, so that the
                next one looks longer if this one is killed; on a local disk it also keeps two
                runs apart.
            limits: of one batch.
            sleep: waits for seconds.
            clock: seconds, for all bounds here.
            now: the time in UTC, for answers of a server that does not say when a batch ended.
            patience_s: how long a server that does not answer, or says that it is busy, is asked.
            lag_s: how long after a create its batch may be missing from the list.
            creates: of one batch, sent at most, not counting those refused by a busy server.
            warn: called with what was not as it should be in the files of batches.
        """
        self._work = work
        self._limits = limits or Limits()
        self._calls = Calls(client, work.server, sleep=sleep, clock=clock, patience_s=patience_s)
        self._notes = Notes(notes, name)
        self._mark = round_mark(work.server, self._notes.name)
        self._now = now
        self._warn = warn
        self._remarks: set[str] = set()
        self._submission = Submission(
            self._calls, self._notes, self._mark, lag_s=lag_s, creates=creates
        )

    def submit(
        self,
        journal: Journal,
        *,
        before: BatchReceipt | None = None,
        again: bool = True,
        before_create: BeforeCreate | None = None,
    ) -> BatchReceipt:
        """Have a batch for everything that the journal has no answer to.

        While batches of the round go on, those of them that a killed run did not come to create
        are created, and nothing else. Once all have ended, their answers are taken into the
        journal, and what is still open goes into new batches.

        Args:
            journal: what was answered before; answers of ended batches are added to it.
            before: a receipt of the round, whose batches a list may not show any more.
            again: whether what failed for good is asked again, too.
            before_create: called before the first create; what it raises passes through, and
                nothing is created.

        Returns:
            All batches of the round, those of earlier attempts included.

        Raises:
            ChatError: the server refuses, does not answer, or has no batches; or a request is
                over the limits.
            StorageError: another run is submitting, or the note or the journal cannot be written.
        """
        if all(journal.get(request.key) is not None for request in self._work.requests):
            return self._receipt(before.batches if before else ())
        with self._notes.alone():
            known = self._submission.known(before.batches if before else ())
            receipt = self._receipt(known)
            living, attempt = bool(receipt.living), receipt.attempt
            # What goes on was planned by a journal with the answers of all that went before.
            over = [batch for batch in known if not living or batch.attempt < attempt]
            failed = self._collected(over, journal).failed
            attempt += 0 if living else 1
            parameters = _renamed(self._work.parameters, failed)
            open_ = [
                request
                for request in self._work.requests
                if journal.get(request.key) is None
                and (again or self._may_pass(failed.get(request.key)))
            ]
            planned = self._planned(open_, parameters, attempt)
            marks = {label.fingerprint for label, _ in planned}
            there = {batch.fingerprint for batch in known}
            if living and not {batch.fingerprint for batch in receipt.newest} <= marks:
                # The journal went on since they were made: nobody can tell what is in none.
                return receipt
            missing = [(label, part) for label, part in planned if label.fingerprint not in there]
            if missing and before_create is not None:
                # One that still goes on may answer all that it was asked.
                paid = sum(batch.completed if batch.ended else batch.requests for batch in known)
                before_create([request for _, part in missing for request in part], paid)
            made = [self._created(label, part, parameters) for label, part in missing]
        return self._receipt([*known, *made])

    def wait(
        self,
        receipt: BatchReceipt,
        *,
        timeout_s: float,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> BatchReceipt:
        """Wait until every batch of a receipt has ended, however it ended.

        Args:
            receipt: names the batches.
            timeout_s: the whole wait at most.
            on_progress: called after every poll with (questions done, questions in the batches).

        Raises:
            ChatError: the time is over, a batch is not there any more, or the server refuses or
                does not answer. Batches go on, and another call attaches to them again.
        """
        return waited(self._calls, receipt, timeout_s=timeout_s, on_progress=on_progress)

    def collect(self, receipt: BatchReceipt, journal: Journal) -> Collected:
        """Take the answers of the batches that ended into the journal, as far as it lacks them.

        Raises:
            ChatError: the server refuses or does not answer.
            StorageError: the journal cannot be written.
        """
        return self._collected(receipt.batches, journal)

    def complete(
        self,
        receipt: BatchReceipt,
        journal: OpenJournal,
        *,
        timeout_s: float,
        attempts: int = 3,
        on_progress: Callable[[int, int], None] | None = None,
        on_submit: Callable[[BatchReceipt], None] | None = None,
        before_create: BeforeCreate | None = None,
    ) -> BatchReceipt:
        """Wait for the batches, and ask what they left open in further ones.

        An expired batch, one that lost answers, and errors that may pass are followed by a batch
        over what is missing. What fails for good is not asked again.

        Args:
            receipt: of `submit`.
            journal: opens the journal, which is held while answers are written, not while batches
                are waited for.
            timeout_s: each wait at most.
            attempts: how often this call waits, and so asks, at most.
            on_progress: as for `wait`.
            on_submit: called with the receipt whenever there are new batches.
            before_create: as for `submit`.

        Raises:
            ChatError: as `submit` and `wait`; or a batch was refused or cancelled, which is told
                in the server's own words after the answers of all others are in the journal. The
                next call goes on without it.
            StorageError: as `submit`.
        """
        for left in reversed(range(attempts)):
            receipt = self.wait(receipt, timeout_s=timeout_s, on_progress=on_progress)
            with journal() as opened:
                self.collect(receipt, opened)
                open_ = sum(opened.get(r.key) is None for r in self._work.requests)
                if open_:
                    self._tell_of_stopped(receipt, open_)
                if not open_ or not left:
                    break
                further = self.submit(
                    opened, before=receipt, again=False, before_create=before_create
                )
            if {b.batch_id for b in further.batches} == {b.batch_id for b in receipt.batches}:
                break
            receipt = further
            if on_submit is not None:
                on_submit(receipt)
        return receipt

    def cancel(self, receipt: BatchReceipt) -> tuple[str, ...]:
        """Cancel the batches of a receipt that go on; what they answered already is paid for.

        Returns:
            Their ids. One that ended meanwhile is left as it is.
        """
        return self._submission.cancel([batch.batch_id for batch in receipt.living])

    def answers(self, collected: Collected, journal: Journal) -> dict[str, Answer]:
        """An answer to every request by its key: the journal's, or one that says why not."""
        found = {}
        for request in self._work.requests:
            answer = journal.get(request.key)
            if answer is None and (failure := collected.failed.get(request.key)) is not None:
                answer = failure.answer
            found[request.key] = answer or Answer(
                request_hash=request.key,
                evaluated_at=self._now(),
                latency_s=0.0,
                error=f"no batch at {self._calls.address} has an answer to it; run again to ask it "
                "in another one",
                error_type=NOT_ANSWERED,
                batched=True,
            )
        return found

    def _collected(self, batches: Iterable[BatchRecord], journal: Journal) -> Collected:
        asked = {request.key for request in self._work.requests}
        collected = collect(self._calls, batches, journal, asked=asked, now=self._now)
        # The same files are read again, and say the same again.
        if (remarks := collected.remarks) and remarks not in self._remarks:
            self._remarks.add(remarks)
            self._warn(f"in the files of batches at {self._calls.address}: {remarks}")
        return collected

    def _planned(
        self, requests: Sequence[Request], parameters: Mapping[str, Any], attempt: int
    ) -> list[tuple[Label, list[Request]]]:
        parts = parts_of(requests, self._work.server.model, parameters, self._limits)
        return [
            (
                Label(
                    mark=self._mark,
                    attempt=attempt,
                    part=number,
                    parts=len(parts),
                    requests=len(part),
                    fingerprint=fingerprint(self._mark, attempt, [r.key for r in part]),
                ),
                part,
            )
            for number, part in enumerate(parts, start=1)
        ]

    def _created(
        self, label: Label, part: Iterable[Request], parameters: Mapping[str, Any]
    ) -> BatchRecord:
        model = self._work.server.model
        content = b"".join(request_line(request, model, parameters) for request in part)
        return self._submission.created(label, content)

    def _receipt(self, batches: Sequence[BatchRecord]) -> BatchReceipt:
        return BatchReceipt(
            name=self._notes.name,
            mark=self._mark,
            destination=public_address(self._work.server.base_url),
            model=self._work.server.model,
            questions=len(self._work.requests),
            batches=tuple(batches),
        )

    def _may_pass(self, failure: BatchAnswer | None) -> bool:
        return failure is None or failure.passing or _of_the_limits_name(failure)

    def _tell_of_stopped(self, receipt: BatchReceipt, open_: int) -> None:
        """Tell of a refused or cancelled batch once: whoever comes back has mended that."""
        with self._notes.alone():
            stopped = [batch for batch in receipt.newest if batch.status in STOPPED]
            new = self._notes.not_told(batch.batch_id for batch in stopped)
        if new:
            raise self._stopped(next(b for b in stopped if b.batch_id == new[0]), open_)

    def _stopped(self, batch: BatchRecord, open_: int) -> ChatError:
        if batch.status == "cancelled":
            return ChatError(
                f"the batch {batch.batch_id} at {self._calls.address} was cancelled; the answers "
                f"that came are kept. Run again to ask the other {open_} in another batch"
            )
        return ChatError(
            f"the server at {self._calls.address} refused the batch {batch.batch_id}: "
            f"{batch.said or 'no reason is given'}. Mend that and run again: the answers that came "
            f"are kept, and the other {open_} are asked in another batch"
        )


def _of_the_limits_name(failure: BatchAnswer) -> bool:
    return "max_completion_tokens" in str(failure.answer.error)


def _renamed(parameters: Mapping[str, Any], failed: Mapping[str, BatchAnswer]) -> Mapping[str, Any]:
    """The parameters with the limit's older name, where the server insisted on it."""
    if "max_completion_tokens" not in parameters or not any(
        map(_of_the_limits_name, failed.values())
    ):
        return parameters
    others = {name: value for name, value in parameters.items() if name != "max_completion_tokens"}
    return others | {"max_tokens": parameters["max_completion_tokens"]}
