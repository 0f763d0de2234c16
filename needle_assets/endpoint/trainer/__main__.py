"""The trainer's command: ``python .../trainer/__main__.py prepare|train JOB_FOLDER``.

It runs in the trainer's own environment, where this package is not installed; its own root is put
behind that environment's packages.
"""

import os
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path

if __name__ == "__main__":
    _root = Path(__file__).resolve().parents[3]
    # Python puts the script's folder first: its modules must not hide others of their names.
    sys.path[:] = [entry for entry in sys.path if Path(entry) != Path(__file__).resolve().parent]
    sys.path.append(str(_root))

from needle_assets.endpoint.trainer import life
from needle_assets.endpoint.trainer.spec import (
    TrainerError,
    read_prepared,
    read_spec,
    write_refused,
)

REFUSED = 2
"""Exit status of a ``prepare`` that found the job impossible."""


def main(arguments: list[str]) -> int:
    """Do one half of a job; the exit status says how it ended."""
    if len(arguments) != 2 or arguments[0] not in ("prepare", "train"):
        print("usage: __main__.py prepare|train JOB_FOLDER", file=sys.stderr)
        return 64
    # Computing threads that wait for each other by spinning starve one another when the machine
    # has other work.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Weights are files here: nothing is looked up elsewhere, and bars are no log.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    folder = Path(arguments[1]).absolute()
    life.end_with_parent()
    if not life.is_main() and arguments[0] == "prepare":
        return 0
    return prepare_job(folder) if arguments[0] == "prepare" else train_job(folder)


def prepare_job(folder: Path) -> int:
    """Prepare; whatever is wrong with the job stands in ``prepared.json``."""
    from needle_assets.endpoint.trainer.prepare import prepare

    try:
        with life.sole_trainer(folder):
            prepare(folder, read_spec(folder))
    except TrainerError as error:
        write_refused(folder, error)
        print(error, file=sys.stderr)
        return REFUSED
    return 0


def train_job(folder: Path) -> int:
    """Train, or go on training; why that cannot be is a line of ``progress.jsonl``."""
    from needle_assets.endpoint.trainer.progress import Progress
    from needle_assets.endpoint.trainer.train import train

    stop = life.Stop()
    progress = Progress(folder)
    try:
        with life.sole_trainer(folder) if life.is_main() else nullcontext():
            if life.is_main():
                progress.mend()
            train(folder, read_spec(folder), read_prepared(folder), stop, progress)
    except Exception as error:
        if isinstance(error, TrainerError):
            print(error, file=sys.stderr)
        else:
            traceback.print_exc()
        if life.is_main():
            progress.failed(_reason(error))
        return 1
    return 0


def _reason(error: Exception) -> str:
    if isinstance(error, TrainerError):
        return str(error)
    if type(error).__name__ == "OutOfMemoryError":
        return "the device ran out of memory: train on shorter examples or on a larger device"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
