"""A small project that ran once, for tests of what happens next: its store, instance and model.

The corpus is the built-in sample, the model a scripted chat server that knows every label.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage

from needle_assets.definitions import build_defs
from needle_assets.defs.launch import register
from needle_assets.defs.resources import Tokenizer
from needle_assets.evaluation import plots
from needle_assets.evaluation.registry import ModelEntry, ModelRegistry
from needle_assets.labels.biography import BIOGRAPHY_TASK
from needle_assets.settings import Settings
from needle_assets.storage import read_table
from needle_assets_tests.support.chat_server import ChatRequest, ChatServer, Reply

PROJECT = Path(__file__).parents[2]

UNPARTITIONED = (
    "raw_wiki_bio",
    "anonymized_bios",
    "filtered_needles",
    "needle_labels",
    "label_review",
)

LENGTH = "512"
MODEL = "scripted"
SWEEP = f"{LENGTH}|{MODEL}"

SMALL: dict[str, Any] = {
    "home": ".needle",
    "corpus": "",
    "sample_rows": 400,
    "seed": 0,
    "depths": 2,
    "draws": 2,
    "train_examples": 10,
    "validation_examples": 2,
    "labeler": "auto",
    "endpoint_url": "store",
}
"""Settings of the small project; what it asks is 2 draws x 2 depths = 4 questions."""

QUESTIONS = 4

ASKED = QUESTIONS + 2 + 2
"""Requests of a sweep: its questions, and about each of 2 people one alone, one without text."""

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class World:
    """A project's folder with ``.needle`` and ``.dagster`` in it, and the model it asks.

    As in a user's hands, the store's address is relative: be in the folder to run anything.
    """

    folder: Path
    instance: dg.DagsterInstance
    server: ChatServer

    @property
    def store(self) -> Path:
        return self.folder / ".needle"

    def reset(self, project: Path) -> None:
        """Become a copy of another project; the instance stays open, which is what takes long."""
        for name in (".needle", ".dagster"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            if (project / name).exists():
                shutil.copytree(project / name, self.folder / name)
        self.server.requests.clear()
        if (self.store / "assets").exists():
            self.server.reply = knows(self.table("needle_labels"))

    def settings(self, **changes: Any) -> Settings:
        return Settings(**{**SMALL, **changes})

    def definitions(self, settings: Settings | None = None) -> dg.Definitions:
        return build_defs(
            settings or self.settings(), resource_overrides={"tokenizer": shared_tokenizer()}
        )

    def run(
        self,
        *assets: str,
        partition: str | None = None,
        tags: dict[str, str] | None = None,
        **changes: Any,
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets in one run; a step that fails raises."""
        job = self.definitions(self.settings(**changes)).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            partition_key=partition,
            tags=tags,
            run_config=_QUIET,
        )

    def run_job(self, name: str, **arguments: Any) -> dg.ExecuteInProcessResult:
        """Run one of the named jobs."""
        config = _QUIET | arguments.pop("run_config", {})
        job = self.definitions().resolve_job_def(name)
        return job.execute_in_process(instance=self.instance, run_config=config, **arguments)

    def table(self, *path: str) -> pa.Table:
        """What lies in the store for an asset and its partition."""
        *folders, name = path
        return read_table(self.store.joinpath("assets", *folders, f"{name}.parquet"))

    def outputs(self) -> dict[str, bytes]:
        """Everything under ``assets``, locks and other hidden files included."""
        assets = self.store / "assets"
        return {
            str(path.relative_to(assets)): path.read_bytes()
            for path in sorted(assets.rglob("*"))
            if path.is_file() and path.suffix != ".lock"
        }

    def register_model(self, slug: str, **entry: Any) -> None:
        """Register a model of the scripted server, with its partition."""
        made = ModelEntry(
            **{
                "slug": slug,
                "base_url": self.server.base_url,
                "model": "reader",
                "context_window": 4096,
                "api_key_env": "SCRIPTED_KEY",
                **entry,
            }
        )
        ModelRegistry(self.settings().root / "models.json").add(made, replace=True)
        register(self.instance, [], [slug])

    def logged(self, run_id: str) -> str:
        """All that a run left in the event log, as stored."""
        return "\n".join(
            dg.serialize_value(record.event_log_entry)
            for record in self.instance.get_records_for_run(run_id).records
        )


@contextmanager
def own_environment() -> Iterator[None]:
    """No setting of whoever runs the tests; the scripted model's key is set."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("NEEDLE_") or name == "DAGSTER_HOME":
                patch.delenv(name)
        patch.setenv("SCRIPTED_KEY", "test-key")
        yield


@functools.cache
def shared_tokenizer() -> Tokenizer:
    """The reference tokenizer, read once for all tests."""
    return Tokenizer(Settings(**{**SMALL, "home": str(finished_folder() / ".needle")}))


@functools.cache
def _server() -> ChatServer:
    return ChatServer(lambda _: Reply(status=500), models=("reader",))


@functools.cache
def _kept() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory()


@functools.cache
def finished_folder() -> Path:
    """A project in which every asset was materialized once. Copy it, don't change it."""
    folder = Path(_kept().name) / "finished"
    folder.mkdir()
    with _instance(folder) as instance, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        world = World(folder, instance, _server())
        settings = world.settings()
        world.register_model(MODEL)
        register(instance, [LENGTH], [])
        job = build_defs(settings).resolve_implicit_global_asset_job_def()

        def materialize(*assets: str, partition: str | None = None) -> None:
            job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset) for asset in assets],
                partition_key=partition,
                run_config=_QUIET,
            )

        materialize(*UNPARTITIONED)
        materialize("haystacks", "finetune_upload", partition=LENGTH)
        world.server.reply = knows(world.table("needle_labels"))
        materialize("eval_results", partition=SWEEP)
        materialize("leaderboard")
    return folder


@functools.cache
def new_folder() -> Path:
    """A project in which nothing happened yet. Copy it, don't change it."""
    folder = Path(_kept().name) / "new"
    folder.mkdir()
    with _instance(folder):
        return folder


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """A copy of the finished project, to do anything with.

    Its pictures were made for real; drawing more of them, 0.1 s each, would show nothing new.
    """
    finished_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _instance(folder) as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "to_svg", lambda _chart: "<svg/>")
        world = World(folder, instance, _server())
        world.reset(finished_folder())
        yield world


@contextmanager
def _instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance as the project's dagster.yaml has it, but that all runs share one file.

    The shipped storage makes a database for each run, which takes longer than the run itself here.
    """
    config = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    del config["storage"]
    at = {"base_dir": str(folder / ".dagster")}
    config["local_artifact_storage"]["config"] = config["compute_logs"]["config"] = at
    for key, kind in {
        "run_storage": SqliteRunStorage,
        "event_log_storage": ConsolidatedSqliteEventLogStorage,
        "schedule_storage": SqliteScheduleStorage,
    }.items():
        config[key] = {"module": kind.__module__, "class": kind.__name__, "config": at}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def knows(labels: pa.Table) -> Callable[[ChatRequest], Reply]:
    """A model that answers every question with the label, and anything else with an error."""
    answers = {
        BIOGRAPHY_TASK.question(name): label
        for name, label in zip(labels["name"].to_pylist(), labels["label"].to_pylist(), strict=True)
    }

    def reply(request: ChatRequest) -> Reply:
        return Reply(answers[request.user.splitlines()[-1]])

    return reply
