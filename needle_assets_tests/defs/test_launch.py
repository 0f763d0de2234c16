"""Launching from outside the UI: what did not change is reused, what failed says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from needle_assets.definitions import build_defs
from needle_assets.defs import checks, launch
from needle_assets.defs.assets import corpus, haystacks, needles
from needle_assets.defs.launch import (
    Launcher,
    LaunchError,
    instance_here,
    register,
    registered_lengths,
)
from needle_assets.errors import NeedleError
from needle_assets.haystack.assembly import build_haystacks
from needle_assets.storage import StorageError
from needle_assets_tests.defs.test_assets import shorten, spoiled
from needle_assets_tests.defs.test_trust import with_a_cut_needle
from needle_assets_tests.defs.world import (
    LENGTH,
    MODEL,
    PROJECT,
    SWEEP,
    UNPARTITIONED,
    World,
    shared_tokenizer,
)

STEPS: list[tuple[str, str | None]] = [
    *((key, None) for key in UNPARTITIONED),
    ("haystacks", LENGTH),
    ("finetune_upload", LENGTH),
    ("eval_results", SWEEP),
]
"""In the order in which `needle demo` takes them; the leaderboard is made anew each time."""

ALL = [asset for asset, _ in STEPS]


def launcher_of(world: World, **changes: Any) -> Launcher:
    settings = world.settings(**changes)
    overrides = {"tokenizer": shared_tokenizer()}
    return Launcher(build_defs(settings, resource_overrides=overrides), world.instance, settings)


def rebuilt(world: World, *steps: str, **changes: Any) -> list[str]:
    """What a second demo runs again of the named steps (of all, if none are), in order."""
    launch = launcher_of(world, **changes)
    return [
        asset
        for asset, partition in STEPS
        if (not steps or asset in steps) and not launch.bring_up_to_date(asset, partition).reused
    ]


# --- what is reused ----------------------------------------------------------------------------


def test_what_did_not_change_is_reused(world: World) -> None:
    before = world.outputs()
    assert rebuilt(world) == []
    assert world.outputs() == before
    assert world.server.count == 0


def test_what_is_not_there_is_made_once(new_world: World) -> None:
    launch = launcher_of(new_world)
    made = launch.bring_up_to_date("raw_wiki_bio")
    assert (made.asset, made.partition, made.reused) == ("raw_wiki_bio", None, False)
    assert new_world.table("raw_wiki_bio").num_rows == 400
    assert launch.bring_up_to_date("raw_wiki_bio").reused


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"depths": 1}, ["haystacks", "finetune_upload", "eval_results"]),
        ({"validation_examples": 1}, ["haystacks", "finetune_upload", "eval_results"]),
        ({"answer_tokens": 170}, ["haystacks", "finetune_upload", "eval_results"]),
        # One length more does not concern the others; nor do these what was made.
        ({"concurrency": 1, "request_timeout_s": 9, "cpu_threads": 1}, []),
    ],
    ids=lambda value: ",".join(value),
)
def test_a_setting_makes_stale_what_it_concerns(
    world: World, changes: dict[str, Any], stale: list[str]
) -> None:
    assert rebuilt(world, **changes) == stale
    assert rebuilt(world, **changes) == []


def test_another_seed_makes_everything_anew(world: World) -> None:
    launch = launcher_of(world, seed=1)
    for asset in ("raw_wiki_bio", "anonymized_bios"):
        assert not launch.bring_up_to_date(asset).reused
        assert launch.bring_up_to_date(asset).reused
    # The same ids name other people now, and the labels are still of the old ones.
    with pytest.raises(LaunchError, match="labels are of other people"):
        launch.bring_up_to_date("haystacks", LENGTH)


def test_a_corpus_that_changes_under_its_name_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = world.table("raw_wiki_bio")
    monkeypatch.setattr(corpus, "read_corpus", lambda _address: raw)
    file = tmp_path / "corpus.parquet"
    file.write_bytes(b"first")
    assert rebuilt(world, "raw_wiki_bio", "anonymized_bios", corpus=str(file)) == ["raw_wiki_bio"]
    assert rebuilt(world, "raw_wiki_bio", corpus=str(file)) == []
    file.write_bytes(b"second")
    # Another stamp, the same rows: what is made of them stays.
    assert rebuilt(world, "raw_wiki_bio", "anonymized_bios", corpus=str(file)) == ["raw_wiki_bio"]


@pytest.mark.parametrize(
    ("file", "asset"),
    [
        ("anonymized_bios.parquet", "anonymized_bios"),
        (f"haystacks/{LENGTH}.parquet", "haystacks"),
        (f"finetune_upload/{LENGTH}.json", "finetune_upload"),
        (f"eval_results/{LENGTH}/{MODEL}.parquet", "eval_results"),
    ],
)
def test_a_file_that_is_gone_is_made_again(world: World, file: str, asset: str) -> None:
    before = world.outputs()
    (world.store / "assets" / file).unlink()
    # Its rows are the same again, so nothing that is made of them changes.
    assert rebuilt(world) == [asset]
    assert set(world.outputs()) == set(before)


def test_an_input_that_changed_makes_stale_what_is_made_of_it(world: World) -> None:
    shorten(world, "filtered_needles", 100)
    world.run("needle_labels")
    downstream = ["haystacks", "finetune_upload", "eval_results"]
    assert rebuilt(world, *downstream) == downstream
    assert rebuilt(world, *downstream) == []


def test_one_length_does_not_make_another_stale(world: World) -> None:
    register(world.instance, ["640"], [])
    launch = launcher_of(world)
    assert not launch.bring_up_to_date("haystacks", "640").reused
    assert not launch.bring_up_to_date("eval_results", f"640|{MODEL}").reused
    assert rebuilt(world) == []
    # And the other way: the second one knows its own haystacks.
    world.run("haystacks", partition=LENGTH, seed=1)
    assert launch.bring_up_to_date("eval_results", f"640|{MODEL}").reused


def test_the_leaderboard_is_made_from_what_there_is(world: World) -> None:
    assert not launcher_of(world).bring_up_to_date("leaderboard").reused


# --- what failed -------------------------------------------------------------------------------


def test_a_failure_is_said_in_the_steps_own_words(world: World, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(LaunchError) as caught:
        launcher_of(world, corpus=str(missing)).bring_up_to_date("raw_wiki_bio")
    assert str(caught.value).startswith(f"{missing} does not exist")
    assert "\n" not in str(caught.value)


def test_a_missing_input_is_said_in_one_line(new_world: World) -> None:
    with pytest.raises(LaunchError, match=r"filtered_needles\.parquet does not exist; mat") as told:
        launcher_of(new_world).bring_up_to_date("needle_labels")
    assert "\n" not in str(told.value)


def test_a_full_disk_is_said_in_one_line(world: World, full_disk: Callable[[], None]) -> None:
    before = world.outputs()
    launch = launcher_of(world, seed=1)
    full_disk()
    with pytest.raises(LaunchError, match=r"could not write .*raw_wiki_bio\.parquet .*No space"):
        launch.bring_up_to_date("raw_wiki_bio")
    assert world.outputs() == before


def test_what_failed_its_check_is_not_built_upon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.store / "assets" / "needle_labels.parquet").unlink()
    said = r"needle_labels failed its check nationality: 1 of 6 .*: 2 of .*data_docs"
    with monkeypatch.context() as patch:
        patch.setattr(needles, "label_bios", spoiled(needles.label_bios, 2))
        for _ in range(2):
            # Not even the second time, when the rows are there and nothing else has changed.
            with pytest.raises(LaunchError, match=said):
                launcher_of(world).bring_up_to_date("needle_labels")
    assert not launcher_of(world).bring_up_to_date("needle_labels").reused
    assert launcher_of(world).bring_up_to_date("needle_labels").reused


def test_a_length_that_failed_its_check_is_not_reused_when_another_passed_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(world.instance, ["640"], [])
    with monkeypatch.context() as patch:
        patch.setattr(haystacks, "build_haystacks", with_a_cut_needle(build_haystacks))
        with pytest.raises(LaunchError, match=r"haystacks\[640\] failed its check .* at 640: "):
            launcher_of(world).bring_up_to_date("haystacks", "640")
        assert launcher_of(world).bring_up_to_date("haystacks", LENGTH).reused
    world.run("haystacks", partition=LENGTH)
    assert not launcher_of(world).bring_up_to_date("haystacks", "640").reused
    assert launcher_of(world).bring_up_to_date("haystacks", "640").reused
    assert launcher_of(world).bring_up_to_date("haystacks", LENGTH).reused


def test_what_was_never_checked_is_not_built_upon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.store / "assets" / "needle_labels.parquet").unlink()

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(checks, "validate", killed)
        with pytest.raises(RuntimeError, match="killed"):
            launcher_of(world).bring_up_to_date("needle_labels")
    assert not launcher_of(world).bring_up_to_date("needle_labels").reused
    assert launcher_of(world).bring_up_to_date("needle_labels").reused


# --- one command at a time ---------------------------------------------------------------------


def test_a_store_is_launched_on_by_one_command(world: World) -> None:
    definitions, settings = world.definitions(), world.settings()
    with launch.launcher(definitions, world.instance, settings) as alone:
        assert alone.bring_up_to_date("raw_wiki_bio").reused
        with pytest.raises(StorageError, match=r"another run is writing .* from the command line"):
            launch.launcher(definitions, world.instance, settings).__enter__()
    with launch.launcher(definitions, world.instance, settings):
        pass


def test_what_a_killed_command_left_behind_is_ended(world: World) -> None:
    instance, settings = world.instance, world.settings()
    job = world.definitions().resolve_implicit_global_asset_job_def()

    def unfinished(tags: dict[str, str]) -> str:
        run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        return run.run_id

    # The tag of a run that the command launched is read off one.
    launcher_of(world).bring_up_to_date("leaderboard")
    [(tag, store)] = [
        (name, value)
        for name, value in instance.get_runs(limit=1)[0].tags.items()
        if name.startswith("needle/")
    ]
    killed = unfinished({tag: store})
    elsewhere = unfinished({tag: "/another/store"})
    of_the_ui = unfinished({})
    slots = instance.event_log_storage
    slots.initialize_concurrency_limit_to_default("haystacks")
    assert slots.claim_concurrency_slot("haystacks", killed, "haystacks").is_claimed

    with launch.launcher(world.definitions(), instance, settings):
        pass

    def status(run_id: str) -> dg.DagsterRunStatus:
        run = instance.get_run_by_id(run_id)
        assert run
        return run.status

    assert status(killed) is dg.DagsterRunStatus.FAILURE
    assert status(elsewhere) is dg.DagsterRunStatus.STARTED
    assert status(of_the_ui) is dg.DagsterRunStatus.STARTED
    assert slots.get_concurrency_info("haystacks").active_slot_count == 0


# --- the instance ------------------------------------------------------------------------------


def test_partitions_are_kept_from_one_command_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text((PROJECT / "dagster.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    with instance_here("") as instance:
        register(instance, ["4096", "512"], ["scripted"])
        register(instance, ["512"], ["scripted"])
    with instance_here("") as instance:
        assert registered_lengths(instance) == ["512", "4096"]
        assert list(instance.get_dynamic_partitions("model")) == ["scripted"]
    assert (tmp_path / ".dagster").is_dir()


def test_without_an_instance_it_is_said_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match=r"no dagster\.yaml in this folder.*DAGSTER_HOME"):
        instance_here("").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_bad_keys_are_not_registered() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(NeedleError, match="'1e3' is not a context length"):
            register(instance, ["512", "1e3"], ["scripted"])
        assert registered_lengths(instance) == []
        assert list(instance.get_dynamic_partitions("model")) == []
