"""A labeler over a scripted chat server: biographies, its settings, and a model with one slip."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from needle_assets.labels.biography import BIOGRAPHY_TASK, NO_DATE, Biography, PartialDate
from needle_assets.labels.llm import LLMLabeler
from needle_assets.labels.tables import Labeled
from needle_assets_tests.support.chat_server import ChatRequest, ChatServer, Reply

MODEL = "labeler-1"
GOOD = BIOGRAPHY_TASK.canonical_json(
    Biography(
        nationality="French",
        date_of_birth=PartialDate(day=5, month=3, year=1911),
        date_of_death=NO_DATE,
        sportsperson=False,
        politician=False,
    )
)
OTHER = GOOD.replace("French", "British")


def some_bios(count: int) -> pa.Table:
    names = [f"person {number}" for number in range(count)]
    return pa.table(
        {
            "bio_id": [f"id-{number}" for number in range(count)],
            "name": names,
            "bio": [f"{name} is a french poet ." for name in names],
        },
        schema=pa.schema([(column, pa.string()) for column in ("bio_id", "name", "bio")]),
    )


def labeler_of(server: ChatServer, folder: Path, **options: Any) -> LLMLabeler:
    settings: dict[str, Any] = {
        "base_url": server.base_url,
        "model": MODEL,
        "journal_path": folder / "labels.jsonl",
        "api_key": server.api_key,
        "max_retries": 0,
        "concurrency": 1,
        **options,
    }
    return LLMLabeler(**settings)


def about(request: ChatRequest) -> str:
    """Whom a request asks about, the first time or again."""
    question = str(request.messages[1]["content"]).splitlines()[-1]
    return question.removeprefix("Give the JSON for ").removesuffix(".")


def is_again(request: ChatRequest) -> bool:
    return len(request.messages) > 2


def to_person_1(*replies: Reply) -> Callable[[ChatRequest], Reply]:
    """A model that labels everybody but person 1, who gets these replies, one an attempt."""

    def reply(request: ChatRequest) -> Reply:
        if about(request) != "person 1":
            return Reply(GOOD)
        return replies[1] if is_again(request) else replies[0]

    return reply


def in_quarantine(labeled: Labeled) -> dict[str, Any]:
    """The one row there, which is person 1's; the others are labelled."""
    assert labeled.labels["bio_id"].to_pylist() == ["id-0", "id-2"]
    [row] = labeled.quarantine.to_pylist()
    assert (row["bio_id"], row["name"]) == ("id-1", "person 1")
    return dict(row)
