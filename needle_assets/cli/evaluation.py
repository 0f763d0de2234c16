"""What a person types about evaluations: `plan`, `export`, `evaluations list` and `accept`."""

from typing import Annotated

import typer
from rich.markup import escape
from upath import UPath

from needle_assets.cli.shared import settings_with
from needle_assets.console import console, print_evaluations, print_plan, work

app = typer.Typer(help="Evaluations that were made, and which count.", no_args_is_help=True)


def plan(
    lengths: Annotated[
        str, typer.Option(help="Context lengths, with commas.", show_default="those built")
    ] = "",
    models: Annotated[
        str, typer.Option(help="Models, with commas.", show_default="all registered")
    ] = "",
    depths: Annotated[
        int | None, typer.Option(min=1, help="Needle depths.", show_default="NEEDLE_DEPTHS")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Haystacks.", show_default="NEEDLE_DRAWS")
    ] = None,
) -> None:
    """Say what evaluations come to before the first call: tokens, dollars, hours, precision."""
    from needle_assets.defs.planning import plan_evaluations

    settings = settings_with(depths=depths, draws=draws)
    print_plan(plan_evaluations(settings, lengths=_listed(lengths), models=_listed(models)))


def export(
    folder: Annotated[str, typer.Option(help="Where to.", show_default="NEEDLE_HOME/export")] = "",
) -> None:
    """Write all results as one Parquet file and as logs that `inspect view` opens."""
    from needle_assets.defs.stored import StoredHaystacks, stored_results
    from needle_assets.evaluation.export import export_results
    from needle_assets.evaluation.registry import ModelRegistry
    from needle_assets.labels.biography import BIOGRAPHY_TASK

    settings = settings_with()
    models = ModelRegistry(settings.root / "models.json")
    with work() as progress:
        progress.add_task("export", total=None)
        written = export_results(
            stored_results(settings),
            UPath(folder) if folder else settings.root / "export",
            BIOGRAPHY_TASK,
            entries={entry.slug: entry for entry in models.list()},
            haystacks_by_length=StoredHaystacks(settings),
        )
    console.print(f"{written.results}: {written.rows:,} rows", soft_wrap=True)
    for log in written.logs:
        console.print(f"{log}", soft_wrap=True)
    if written.logs:
        console.print(
            f"look at the logs by: inspect view --log-dir {written.results.parent} "
            "(pip install inspect-ai)",
            soft_wrap=True,
        )
    for what, keys in (
        ("not applicable, no log", written.not_applicable),
        ("excerpts for prompts, since the haystacks are gone", written.without_prompts),
        ("left out, since another version evaluated them", written.other_version),
    ):
        if keys:
            console.print(f"{what}: {', '.join(keys)}", soft_wrap=True)


@app.command("list")
def evaluations_list() -> None:
    """List every evaluation that was made, and what came of it."""
    from needle_assets.evaluation.evaluations import evaluation_rows
    from needle_assets.evaluation.history import History

    found, faults = History(settings_with().root).legible()
    rows = evaluation_rows(found)
    if not rows:
        console.print("no model was evaluated yet")
    else:
        print_evaluations(rows)
    for fault in faults:
        console.print(f"[bold red]left out:[/] {escape(fault)}", soft_wrap=True)


@app.command("accept")
def evaluations_accept(
    length: Annotated[int, typer.Argument(help="Context length in tokens.")],
    model: Annotated[str, typer.Argument(help="The model's slug.")],
    number: Annotated[int, typer.Argument(help="Which one; `needle evaluations list` has it.")],
) -> None:
    """Let later evaluations be compared with this one: a drop is known, or meant."""
    from needle_assets.evaluation.history import History

    accepted = History(settings_with().root).accept(length, model, number)
    console.print(f"{accepted.place} is what later ones are compared with", soft_wrap=True)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
