"""Which stored ``eval_results`` today's code can read: those whose columns are today's.

Whether they are about today's haystacks is another question, asked under `defs`.
"""

from collections.abc import Mapping

import pyarrow as pa

from needle_assets.evaluation.calibration import QUESTIONS_SCHEMA
from needle_assets.evaluation.client import ANSWERS_SCHEMA
from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.registry import BUILT_IN
from needle_assets.evaluation.scoring import score_table
from needle_assets.labels.task import Task


def results_schema(task: Task) -> pa.Schema:
    """Of ``eval_results``, as `scoring.score_table` makes them."""
    none = score_table(
        task,
        QUESTIONS_SCHEMA.empty_table(),
        ANSWERS_SCHEMA.empty_table(),
        entry=BUILT_IN[0],
        run_id="",
        haystacks_version="",
    )
    return none.schema


def of_this_version(
    task: Task, results: Mapping[str, pa.Table]
) -> tuple[dict[str, pa.Table], list[str]]:
    """The results with today's columns, and the partitions of those that have others.

    Those come from another version, whose scores may mean something else. Columns that are more
    than today's are dropped.

    Raises:
        EvaluationError: there are results, but none of this version.
    """
    schema = results_schema(task)
    current, others = {}, []
    for key, table in results.items():
        if {*schema.names} <= {*table.column_names}:
            chosen = table.select(schema.names)
            if chosen.schema.equals(schema, check_metadata=False):
                current[key] = chosen
                continue
        others.append(key)
    if others and not current:
        raise EvaluationError(
            f"no results can be used: {', '.join(others)} was evaluated by another version, with "
            "other columns; materialize eval_results again"
        )
    return current, others
