"""Launching assets from outside the UI: the instance, what is up to date, and runs in process.

What is launched, and how it is shown to a person, is the command line's affair.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.errors import (
    DagsterAssetCheckFailedError,
    DagsterExecutionInterruptedError,
)

from needle_assets.defs.partitions import add_context_lengths, add_model
from needle_assets.defs.provenance import (
    CODE_VERSION,
    DATA_VERSION,
    INPUT_VERSION,
    latest,
    version_tag,
)
from needle_assets.defs.tuned_models import is_registered
from needle_assets.defs.versions import code_version
from needle_assets.errors import NeedleError
from needle_assets.settings import Settings
from needle_assets.storage import exclusive


class LaunchError(NeedleError):
    """A run did not succeed, or there is no instance to run it in."""


@contextmanager
def instance_here(dagster_home: str) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance: of ``DAGSTER_HOME`` or, without one, of this folder's dagster.yaml.

    Raises:
        LaunchError: there is neither.
    """
    if dagster_home:
        if not Path(dagster_home).is_absolute() or not Path(dagster_home).is_dir():
            raise LaunchError(
                f"DAGSTER_HOME is {dagster_home}; expected the absolute path of a folder that is "
                "there. Make it, or unset DAGSTER_HOME to use this folder's dagster.yaml"
            )
        with dg.DagsterInstance.get() as instance:
            yield instance
        return
    if not Path("dagster.yaml").is_file():
        raise LaunchError(
            "there is no dagster.yaml in this folder; run from the project's folder or set "
            "DAGSTER_HOME"
        )
    with dg.DagsterInstance.from_config(str(Path.cwd())) as instance:
        yield instance


def register(instance: dg.DagsterInstance, lengths: Sequence[str], models: Sequence[str]) -> None:
    """Add partitions to both dimensions; those that are there stay.

    Raises:
        NeedleError: a key is not one; nothing is added to its dimension.
    """
    add_context_lengths(instance, lengths)
    for slug in models:
        add_model(instance, slug)


def registered_lengths(instance: dg.DagsterInstance) -> list[str]:
    """The keys of the ``context_length`` dimension, shortest first."""
    keys = instance.get_dynamic_partitions("context_length")
    return sorted(keys, key=lambda key: (len(key), key))


@dataclass(frozen=True)
class Launched:
    """What came of one asset partition."""

    asset: str
    partition: str | None
    reused: bool
    """Whether it was up to date, so that nothing ran."""
    seconds: float


_LAUNCHED_TAG = "needle/launched_on"
"""Tag of the runs of this module: the store that they were launched on."""

_HISTORY = 1000
"""Evaluations of a check that are looked through, the latest first."""

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@contextmanager
def launcher(
    definitions: dg.Definitions, instance: dg.DagsterInstance, settings: Settings
) -> Iterator["Launcher"]:
    """A launcher that has its store to itself, for the length of the block.

    Raises:
        StorageError: another command is launching on this store.
    """
    store = settings.scratch.resolve()
    with exclusive(store / "launch", f"{store} from the command line"):
        _end_dead_runs(instance, store)
        _require_free_pools(instance)
        yield Launcher(definitions, instance, settings)


def _end_dead_runs(instance: dg.DagsterInstance, store: Path) -> None:
    """End what an earlier process was killed over: it would hold its pool slots for ever.

    Called while the store is locked, so that an unfinished run of this module has no process.
    """
    dead = dg.RunsFilter(tags={_LAUNCHED_TAG: str(store)}, statuses=_UNFINISHED)
    for run in instance.get_runs(filters=dead):
        instance.report_run_failed(run, "the command that launched it was killed")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _require_free_pools(instance: dg.DagsterInstance) -> None:
    """Refuse to start while a run holds a slot: Dagster would wait for it without a word.

    Raises:
        LaunchError: naming the run. One that was killed holds its slot until it is terminated.
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        if info.active_slot_count < info.slot_count:
            continue
        for run_id in sorted(info.active_run_ids):
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(run_id)
            else:
                raise LaunchError(
                    f"run {run_id} holds the only slot of the pool {pool!r}; wait for it to end "
                    "or, if it was killed, terminate it in the UI (make ui), then try again"
                )


class Launcher:
    """Brings assets up to date, one partition at a time, in this process."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, settings: Settings
    ) -> None:
        self._definitions = definitions
        self.instance = instance
        self._settings = settings

    def bring_up_to_date(self, asset: str, partition: str | None = None) -> Launched:
        """Materialize the asset unless nothing that it is made from has changed.

        Raises:
            LaunchError: the run failed; the message is the failed step's own.
        """
        started = time.monotonic()
        reused = self._is_current(asset, partition)
        if not reused:
            self._materialize(asset, partition)
        return Launched(asset, partition, reused, time.monotonic() - started)

    def _materialize(self, asset: str, partition: str | None) -> None:
        job = self._definitions.resolve_implicit_global_asset_job_def()
        try:
            job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey(asset)],
                partition_key=partition,
                tags={_LAUNCHED_TAG: str(self._settings.scratch.resolve())},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        except dg.Failure as failure:
            raise LaunchError(failure.description or str(failure)) from failure
        except DagsterAssetCheckFailedError as error:
            failed = [
                evaluation
                for evaluation in self._evaluations(asset, partition)
                if evaluation and not evaluation.passed
            ]
            said = "; ".join(f"{one.check_name}: {one.description}" for one in failed)
            pages = [
                self._settings.root / "data_docs" / one.check_name
                for one in failed
                if "data_docs" in one.metadata
            ]
            name = f"{asset}[{partition}]" if partition else asset
            raise LaunchError(
                f"{name} failed its check {said}. Look at the check in the UI (make ui)"
                + "".join(f", or at {page}" for page in pages)
            ) from error

    def _is_current(self, asset: str, partition: str | None) -> bool:
        made = latest(self.instance, asset, partition)
        if made is None or not self._is_stored(asset, partition):
            return False
        if version_tag(made, CODE_VERSION) != code_version(asset, self._settings):
            return False
        parents = self._definitions.resolve_asset_graph().get(dg.AssetKey(asset)).parent_keys
        return self._is_checked(asset, partition) and all(
            self._saw_latest(made, key.to_user_string(), partition) for key in parents
        )

    def _is_checked(self, asset: str, partition: str | None) -> bool:
        """Whether the rows that are there passed every blocking check: else it must fail again."""
        return all(
            evaluation is not None and evaluation.passed
            for evaluation in self._evaluations(asset, partition)
        )

    def _evaluations(
        self, asset: str, partition: str | None
    ) -> Iterator[dg.AssetCheckEvaluation | None]:
        """What each blocking check said of the rows that are there; None where it said nothing.

        A check of a partitioned asset has one history for all partitions.
        """
        made = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(
                asset_key=dg.AssetKey(asset),
                asset_partitions=None if partition is None else [partition],
            ),
            limit=1,
        ).records[0]
        graph = self._definitions.resolve_asset_graph()
        for check in graph.get(dg.AssetKey(asset)).check_keys:
            if graph.get(check).blocking:
                history = self.instance.event_log_storage.get_asset_check_execution_history(
                    check, limit=_HISTORY
                )
                yield next(
                    (
                        record.evaluation
                        for record in history
                        # A check that was planned leaves a record too, of another kind.
                        if isinstance(record.evaluation, dg.AssetCheckEvaluation)
                        and (target := record.evaluation.target_materialization_data)
                        and target.storage_id == made.storage_id
                    ),
                    None,
                )

    def _saw_latest(
        self, made: dg.AssetMaterialization, parent: str, partition: str | None
    ) -> bool:
        """Whether the materialization was made from the parent's latest version."""
        seen = version_tag(made, f"{INPUT_VERSION}{parent}")
        graph = self._definitions.resolve_asset_graph()
        if graph.get(dg.AssetKey(parent)).partitions_def is None:
            version = version_tag(latest(self.instance, parent), DATA_VERSION)
            return version is not None and version == seen
        if partition is None:
            # An asset over all partitions of another: cheap, and made anew each time.
            return False
        # A sweep's key begins with its context length, which is its haystack's key.
        of_parent = partition.split("|")[0]
        version = version_tag(latest(self.instance, parent, of_parent), DATA_VERSION)
        # Dagster keeps of a partitioned input the hash of its partitions' versions.
        return version is not None and hashlib.sha256(version.encode()).hexdigest() == seen

    def _is_stored(self, asset: str, partition: str | None) -> bool:
        stem = self._settings.root / "assets" / asset
        if partition is not None:
            stem = stem.joinpath(*partition.split("|"))
        names = (f"{stem.name}.parquet", f"{stem.name}.json")
        if not any((stem.parent / name).exists() for name in names):
            return False
        # Of a tuned model, its entry in the registry is what counts.
        return asset != "finetuned_model" or is_registered(self._settings, stem.name)
