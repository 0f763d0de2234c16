"""Ending a remote job that is not wanted any more."""

import time
from typing import TYPE_CHECKING

from needle_assets.chat.remote import Clock, Sleep, Trouble, growing_pauses, with_id
from needle_assets.finetune.job_calls import Calls
from needle_assets.finetune.job_records import ENDED, status_of
from needle_assets.finetune.providers import UNKNOWN, Capabilities, Status

if TYPE_CHECKING:
    from openai import OpenAI


def cancel_job(
    client: "OpenAI",
    job_id: str,
    *,
    capabilities: Capabilities = UNKNOWN,
    sleep: Sleep = time.sleep,
    clock: Clock = time.monotonic,
    patience_s: float = 120.0,
    request_timeout_s: float = 30.0,
) -> Status | None:
    """Cancel a job; one that has ended already is left as it is.

    Returns:
        How the job stands after it: ``cancelled``, or how it ended before. A server may go on
        saying ``running`` for a moment.

    Raises:
        FinetuneError: there is no such job, the server refuses, or did not answer in time.
    """
    calls = Calls(
        client,
        sleep=sleep,
        clock=clock,
        request_timeout_s=request_timeout_s,
        patience_s=patience_s,
    )
    return cancelled(calls, job_id, capabilities)


def cancelled(calls: Calls, job_id: str, provider: Capabilities) -> Status | None:
    """`cancel_job` for those who have their `Calls` already."""
    aim = f"cancel the job {job_id}"
    started, pauses = calls.clock(), growing_pauses()
    while True:
        try:
            job = calls.once(lambda client: with_id(client.fine_tuning.jobs.cancel(job_id)))
            return status_of(job, provider)
        except Trouble as problem:
            trouble = problem
        if trouble.unpaid or trouble.status in (401, 403, 404):
            raise calls.refusal(aim, trouble)
        # A refusal mostly says that the job has ended, and a lost answer may have been a yes.
        status = status_of(
            calls.steady(
                f"tell how the job {job_id} stands",
                lambda client: with_id(client.fine_tuning.jobs.retrieve(job_id)),
            ),
            provider,
        )
        if status in ENDED:
            return status
        if not trouble.passing:
            raise calls.refusal(aim, trouble)
        calls.bear(aim, trouble, next(pauses), since=started)
