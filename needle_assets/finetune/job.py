"""The life of a remote fine-tune job, in one place to import from.

    submitted = submit_job(client, spec, capabilities=provider_of(base_url))
    finished = await_job(client, submitted.job_id, capabilities=provider_of(base_url))
    receipt = job_receipt(spec, finished, destination=base_url, cost_usd=None)

Nothing is done here: see `job_submit`, `job_request`, `job_wait`, `job_cancel`, `job_records` and
`curve`.
"""

from needle_assets.finetune.curve import Curve, CurvePoint, curve_table
from needle_assets.finetune.job_cancel import cancel_job
from needle_assets.finetune.job_records import (
    FinishedJob,
    Hyperparameters,
    JobReceipt,
    JobSpec,
    Progress,
    SubmittedJob,
    fingerprint,
    job_receipt,
)
from needle_assets.finetune.job_submit import submit_job, withdraw_job
from needle_assets.finetune.job_wait import await_job

__all__ = [
    "Curve",
    "CurvePoint",
    "FinishedJob",
    "Hyperparameters",
    "JobReceipt",
    "JobSpec",
    "Progress",
    "SubmittedJob",
    "await_job",
    "cancel_job",
    "curve_table",
    "fingerprint",
    "job_receipt",
    "submit_job",
    "withdraw_job",
]
