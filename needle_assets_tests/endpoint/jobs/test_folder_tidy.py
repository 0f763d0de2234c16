"""What stays of a job's folder once the job has ended."""

from pathlib import Path

from needle_assets.endpoint.jobs.folder import JobFolder


def test_examples_and_checkpoints_go_and_what_was_learned_stays(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    gone = ["training.jsonl", "validation.jsonl", "training.npz", "validation.npz"]
    stays = [
        "spec.json", "prepared.json", "progress.jsonl", "result.json", "adapter.gguf",
        "trainer.log", "trainer.lock",
    ]  # fmt: skip
    for name in [*gone, *stays]:
        (tmp_path / name).write_text("")
    (tmp_path / "checkpoints" / "step-1").mkdir(parents=True)
    (tmp_path / "adapter").mkdir()

    folder.tidy()

    assert {path.name for path in tmp_path.iterdir()} == {*stays, "adapter"}
