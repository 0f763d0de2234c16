"""The trainer's process: started apart from the server, asked to stop, ended with all its children.

What it is told and what it reports are files (`folder`); why it is started decides `runner`.
"""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from needle_assets.endpoint.config import TrainingConfig
from needle_assets.endpoint.errors import EndpointError
from needle_assets.endpoint.jobs.errors import JobError
from needle_assets.endpoint.jobs.folder import JobFolder

SCRIPT = Path(__file__).parents[1] / "trainer" / "__main__.py"

# What computing needs. The rest stays with the server: keys of other services above all, and
# PYTHONPATH, which would mix the server's packages into the trainer's environment.
_PASSED_ON = frozenset([
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
    "XDG_CACHE_HOME",
])  # fmt: skip
_PASSED_ON_PREFIXES = (
    "ACCELERATE_", "CUDA_", "HIP_", "HSA_", "KMP_", "LC_", "MKL_", "NCCL_", "NVIDIA_", "OMP_",
    "PYTORCH_", "ROCR_", "TORCH_", "TRITON_",
)  # fmt: skip


class TrainerProcess:
    """One run of the trainer's script."""

    def __init__(self, training: TrainingConfig, verb: str, folder: JobFolder) -> None:
        """Start it.

        Raises:
            EndpointError: the trainer's environment is not there, or cannot be run.
        """
        # Not resolved: an environment's python is a link, and finds its packages by its own place.
        python = training.python.absolute()
        if not os.access(python, os.X_OK):
            raise EndpointError(
                f"the trainer's Python {python} does not exist or cannot be run: make its "
                "environment with `make trainer`, or name another one as training.python"
            )
        self._folder = folder
        self._log_start = folder.log.stat().st_size if folder.log.exists() else 0
        with folder.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [str(python), *training.launch, str(SCRIPT), verb, str(folder.path)],
                    cwd=folder.path,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Ctrl-C at the server is for the server, which stops the trainer itself.
                    start_new_session=True,
                )
            except OSError as error:
                raise EndpointError(f"the trainer could not be started: {error}") from None

    def ended(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, grace_s: float) -> None:
        """Ask it to write a checkpoint and end; kill what is left of it after ``grace_s``."""
        if self._process.poll() is None:
            _stop([psutil.Process(self._process.pid)], grace_s)
        self._process.wait()

    def death(self, status: int, what: str) -> JobError:
        """Why a job failed whose trainer ended with ``status`` while it did ``what``."""
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        tail = self._folder.log_tail(self._log_start)
        ending = f" Its log ends with:\n{tail}" if tail else ""
        return JobError(
            f"The trainer {how} while {what}, without a result or a reason.{ending}",
            code="training_failed",
        )


def stop_orphans(folders: list[JobFolder], grace_s: float) -> None:
    """End trainers that a killed server left behind, all within ``grace_s``.

    They end by themselves when they see their parent go. One that was just being started has never
    seen it, and nothing that a server writes down is earlier than its own death: their command
    lines tell them.
    """
    paths = {str(folder.path) for folder in folders}
    orphans = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if str(SCRIPT) in words and not paths.isdisjoint(words):
            orphans.append(process)
    _stop(orphans, grace_s)


def _stop(leaders: list[psutil.Process], grace_s: float) -> None:
    # A launcher does not hand signals on, or has its workers in sessions of their own: all of
    # them are asked, and killed, one by one.
    processes: list[psutil.Process] = []
    for leader in leaders:
        with suppress(psutil.NoSuchProcess):
            processes += [leader, *leader.children(recursive=True)]
    deadline = time.monotonic() + grace_s
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=max(0.0, deadline - time.monotonic()))
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _environment() -> dict[str, str]:
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return {**passed_on, "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
