"""The label of a biography and the task that asks for it. How it is found is not decided here."""

from pydantic import BaseModel, ConfigDict

from needle_assets.labels.task import Task

UNKNOWN = "unknown"
"""The nationality of a person whose biography states none."""


class PartialDate(BaseModel):
    """A calendar date of which any part may be 0: not stated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: int = 0
    month: int = 0
    year: int = 0


class Biography(BaseModel):
    """What a biography says about its person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nationality: str
    date_of_birth: PartialDate
    date_of_death: PartialDate
    sportsperson: bool
    politician: bool


BIOGRAPHY_TASK = Task(
    name="biography",
    label_type=Biography,
    system_prompt=(
        "You extract facts about one person from biographies. Answer with one JSON object and "
        'nothing else: {"nationality":"","date_of_birth":{"day":0,"month":0,"year":0},'
        '"date_of_death":{"day":0,"month":0,"year":0},"sportsperson":false,"politician":false}. '
        'nationality is an adjective such as "French", or "unknown". Dates are numbers; 0 for a '
        "part that is not stated. sportsperson and politician are true or false."
    ),
    question_template="Give the JSON for {name}.",
)
