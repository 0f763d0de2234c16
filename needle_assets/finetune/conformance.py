"""Whether a server speaks OpenAI's fine-tuning API: named checks in order, and what came of each.

What the checks ask is in `conformance_files`, `conformance_jobs` and `conformance_tuned`; they use
the openai SDK alone, so that they run against any base_url.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from needle_assets.chat.clients import MAX_RETRIES, NO_KEY, openai_client
from needle_assets.chat.problems import public
from needle_assets.finetune import conformance_files, conformance_jobs, conformance_tuned
from needle_assets.finetune.conformance_bench import Bench, FailedCheck, Level, SkippedCheck
from needle_assets.finetune.providers import Capabilities, provider_of

Outcome = Literal["passed", "failed", "skipped"]

CLEAN_UP = "nothing is left behind"
"""Name of the last check."""

_LEVELS: tuple[Level, ...] = ("files", "jobs", "full")
_ASKED = {"jobs": "it creates jobs: ask for jobs", "full": "it trains a model: ask for full"}
_CHECKS = (*conformance_files.CHECKS, *conformance_jobs.CHECKS, *conformance_tuned.CHECKS)


@dataclass(frozen=True)
class CheckResult:
    """What came of one check."""

    name: str
    outcome: Outcome
    why: str = ""
    """Why it failed or was skipped."""


def check_endpoint(
    base_url: str,
    api_key: str = "",
    *,
    level: Level = "files",
    model: str = "",
    capabilities: Capabilities | None = None,
    timeout_s: float = 60.0,
    max_retries: int = MAX_RETRIES,
    patience_s: float = 3600.0,
    pause: Callable[[float], None] = time.sleep,
    progress: Callable[[CheckResult], None] = lambda _result: None,
) -> list[CheckResult]:
    """Run the suite against a server; no check stops the others, and no error is raised.

    Files that it uploads are deleted, jobs that have not ended are cancelled and models that came
    out are deleted. Records of its jobs stay: the API deletes none.

    Args:
        base_url: most often ending in /v1.
        api_key: empty where the server asks for none.
        level: "files" asks for models and files alone, which costs nothing; "jobs" also creates
            jobs, one of them with a bad file, and cancels them; "full" also trains a model on 12
            short examples and asks it. A provider may bill jobs.
        model: base model of the jobs; empty: the first that the server lists.
        capabilities: of the provider; None: those known by the address. What it is known not to
            have is skipped.
        timeout_s: deadline of one request.
        max_retries: of a request that may pass at another attempt; none of a job's creation.
        patience_s: how long a job may take to get into a status.
        pause: waits so many seconds between two looks at a job.
        progress: called with each result as it comes.

    Returns:
        One result for each check, in their order.
    """
    known = capabilities or provider_of(base_url)
    results: list[CheckResult] = []

    def keep(result: CheckResult) -> None:
        results.append(result)
        progress(result)

    with (
        openai_client(base_url, api_key, timeout_s=timeout_s, max_retries=max_retries) as client,
        openai_client(base_url, _wrong(api_key), timeout_s=timeout_s, max_retries=0) as stranger,
    ):
        bench = Bench(client, stranger, bool(api_key), known, model, patience_s, pause)
        passed: set[str] = set()
        try:
            for check in _CHECKS:
                missing = [name for name in check.needs if name not in passed]
                if _LEVELS.index(check.level) > _LEVELS.index(level):
                    result = CheckResult(check.name, "skipped", _ASKED[check.level])
                elif missing:
                    result = CheckResult(check.name, "skipped", f"needs: {', '.join(missing)}")
                else:
                    result = _run(check.name, check.run, bench)
                if result.outcome == "passed":
                    passed.add(check.name)
                keep(result)
        finally:
            left = bench.clean_up()
        keep(CheckResult(CLEAN_UP, "failed" if left else "passed", "; ".join(left)))
    return results


def conforms(results: Sequence[CheckResult]) -> bool:
    """Whether no check failed."""
    return all(result.outcome != "failed" for result in results)


def as_text(results: Sequence[CheckResult]) -> str:
    """The results as a table for a terminal, one line each, and their sum."""
    width = max((len(result.name) for result in results), default=0)
    lines = [
        f"{result.outcome:7}  {result.name:{width}}  {result.why}".rstrip() for result in results
    ]
    outcomes = [result.outcome for result in results]
    counts = ", ".join(
        f"{outcomes.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped")
    )
    return "\n".join([*lines, counts])


def _run(name: str, run: Callable[[Bench], None], bench: Bench) -> CheckResult:
    try:
        run(bench)
    except SkippedCheck as reason:
        return CheckResult(name, "skipped", str(reason))
    except FailedCheck as reason:
        return CheckResult(name, "failed", public(str(reason), bench.client.api_key))
    except Exception as error:
        # The SDK passes on what came, of whatever shape: a missing field shows only at its use,
        # and a broken stream as an error of what lies below the SDK.
        said = public(str(error), bench.client.api_key)
        return CheckResult(name, "failed", f"{type(error).__name__}: {said}")
    return CheckResult(name, "passed")


def _wrong(api_key: str) -> str:
    return f"{api_key or NO_KEY}-wrong"
