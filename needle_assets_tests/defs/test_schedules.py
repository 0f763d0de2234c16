"""The weekly round: every evaluated (length, model) once, each round with a journal of its own."""

import datetime

import dagster as dg

from needle_assets.defs.journals import EVALUATION_TAG
from needle_assets_tests.defs.world import ASKED, MODEL, SWEEP, World

MONDAY = datetime.datetime(2026, 11, 23, 6, 0, tzinfo=datetime.UTC)


def requests(world: World, when: datetime.datetime = MONDAY) -> list[dg.RunRequest]:
    """What the schedule asks for at its tick."""
    definitions = world.definitions()
    repository = definitions.get_repository_def()
    with dg.build_schedule_context(
        instance=world.instance, scheduled_execution_time=when, repository_def=repository
    ) as context:
        data = repository.get_schedule_def("weekly_reevaluation").evaluate_tick(context)
    return list(data.run_requests or [])


def test_the_round_asks_what_was_evaluated(world: World) -> None:
    # Registered, but never evaluated: nobody has agreed to pay for it.
    world.register_model("another")
    world.instance.add_dynamic_partitions("context_length", ["640"])
    world.run("haystacks", partition="640")
    world.run("eval_results", partition=f"640|{MODEL}")
    asked = requests(world)
    assert [(request.partition_key, request.run_key) for request in asked] == [
        (SWEEP, "2026-11-23:512|scripted"),
        (f"640|{MODEL}", "2026-11-23:640|scripted"),
    ]
    assert {request.tags[EVALUATION_TAG] for request in asked} == {"2026-11-23"}


def test_without_any_evaluation_the_round_asks_nothing(new_world: World) -> None:
    assert requests(new_world) == []


def test_a_round_has_keys_of_its_own(world: World) -> None:
    # A run key launches once: a tick that is evaluated twice costs nothing, the next week does.
    [first], [again] = requests(world), requests(world)
    [later] = requests(world, MONDAY + datetime.timedelta(weeks=1))
    assert first.run_key == again.run_key != later.run_key
    assert first.tags[EVALUATION_TAG] != later.tags[EVALUATION_TAG]


def test_what_is_requested_can_be_run(world: World) -> None:
    [request] = requests(world)
    run = world.run_job("evaluate", partition_key=request.partition_key, tags=dict(request.tags))
    assert run.success
    assert world.server.count == ASKED
    folder = world.settings().scratch / "journals" / "512" / MODEL
    assert (folder / f"{run.run_id}.jsonl").exists()
