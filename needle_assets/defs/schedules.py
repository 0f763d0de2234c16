"""When models are asked again by themselves. Off until switched on in the UI: asking can cost."""

from collections.abc import Iterator

import dagster as dg

from needle_assets.defs.jobs import evaluate
from needle_assets.defs.journals import EVALUATION_TAG


@dg.schedule(
    job=evaluate,
    cron_schedule="0 6 * * 1",
    execution_timezone="UTC",
    description="Ask every model again about every context length that it was evaluated at.",
)
def weekly_reevaluation(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Every Monday morning, each (length, model) that was evaluated before, in a fresh journal."""
    day = context.scheduled_execution_time.strftime("%Y-%m-%d")
    evaluated = context.instance.get_materialized_partitions(dg.AssetKey("eval_results"))
    for key in sorted(evaluated):
        yield dg.RunRequest(
            run_key=f"{day}:{key}",
            partition_key=key,
            tags={EVALUATION_TAG: day},
        )
