"""Dagster's UI on this project: a length added there is built, shown, and there after a restart.

One server, one small corpus, one story; what assets compute is tested with the assets.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from needle_assets_tests.ui.test_report_page import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.ui

PROJECT = Path(__file__).parents[2]
KEYS = {
    "raw_wiki_bio",
    "anonymized_bios",
    "filtered_needles",
    "needle_labels",
    "haystacks",
    "finetune_upload",
    "eval_results",
    "leaderboard",
}
GROUPS = ("corpus", "needles", "haystacks", "finetune", "evaluation")
LENGTH = "640"
SERVER_S = 180.0
RUN_S = 300.0
STOP_S = 30.0

REPOSITORY = 'repositoryLocationName: "needle_assets", repositoryName: "__repository__"'
SCHEDULE = 'scheduleName: "weekly_reevaluation"'
BUILD_DATASET = f"""mutation {{ launchRun(executionParams: {{
    selector: {{ {REPOSITORY}, jobName: "build_dataset" }},
    runConfigData: {{ execution: {{ config: {{ in_process: {{}} }} }} }} }}) {{
        __typename
        ... on LaunchRunSuccess {{ run {{ runId }} }}
        ... on PythonError {{ message }} }} }}"""
START_SCHEDULE = f"""mutation {{ startSchedule(scheduleSelector: {{ {REPOSITORY}, {SCHEDULE} }}) {{
    __typename }} }}"""
STATE = f"""{{
    runsOrError(limit: 20) {{ ... on Runs {{ results {{ runId status tags {{ key value }} }} }} }}
    assetNodeOrError(assetKey: {{ path: ["haystacks"] }}) {{ ... on AssetNode {{ partitionKeys }} }}
    scheduleOrError(scheduleSelector: {{ {REPOSITORY}, {SCHEDULE} }}) {{
        ... on Schedule {{ scheduleState {{ status }} }} }}
}}"""


@dataclass(frozen=True)
class Server:
    """A running `dg dev`."""

    url: str

    def graphql(self, query: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def runs(self) -> dict[str, str]:
        """Status by run id."""
        found = self.graphql(STATE)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def run_of(self, partition: str) -> str | None:
        tag = {"key": "dagster/partition", "value": partition}
        found = self.graphql(STATE)["runsOrError"]["results"]
        return next((run["runId"] for run in found if tag in run["tags"]), None)

    def finish(self, run_id: str) -> str:
        """The status with which a run ends."""
        ends = {"SUCCESS", "FAILURE", "CANCELED"}
        until(lambda: self.runs()[run_id] in ends, RUN_S, f"run {run_id} to end")
        return self.runs()[run_id]

    def partitions(self) -> list[str]:
        keys: list[str] = self.graphql(STATE)["assetNodeOrError"]["partitionKeys"]
        return keys

    def schedule(self) -> str:
        return str(self.graphql(STATE)["scheduleOrError"]["scheduleState"]["status"])


def until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    give_up = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up, f"waited {deadline_s:.0f} s for {what}"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is absent: install Debian's package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is absent: make test-ui")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    # Without a locale the UI stays blank in headless Chromium.
    opened = browser.new_page(viewport={"width": 1400, "height": 900}, locale="en-US")
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run from as from the project's own, so that its state is of this test alone."""
    (tmp_path / "needle_assets").symlink_to(PROJECT / "needle_assets", target_is_directory=True)
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


@contextmanager
def serve(folder: Path, **variables: str) -> Iterator[Server]:
    """`dg dev` in a process group of its own; nothing of the group is left afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NEEDLE_", "DAGSTER_"))
    }
    log = folder / "dg-dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("dg"), "dev", "--port", str(port)],
            cwd=folder,
            env={
                **inherited,
                "DAGSTER_DISABLE_TELEMETRY": "1",
                "GX_ANALYTICS_ENABLED": "false",
                "NEEDLE_SAMPLE_ROWS": "400",
                "NEEDLE_DEPTHS": "2",
                "NEEDLE_DRAWS": "2",
                "NEEDLE_TRAIN_EXAMPLES": "4",
                "NEEDLE_VALIDATION_EXAMPLES": "2",
                **variables,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}")
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            with (
                suppress(urllib.error.URLError),
                urllib.request.urlopen(f"{server.url}/server_info"),
            ):
                return True
            return False

        until(answers, SERVER_S, f"dg dev to answer, see {log}")
        yield server
        process.send_signal(signal.SIGTERM)
        # It ignores the signal where this process ignores SIGINT, as in a shell's background.
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_length_added_in_the_ui_is_built_shown_and_kept(folder: Path, page: "Page") -> None:
    with serve(folder) as server:
        launched = server.graphql(BUILD_DATASET)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        assert server.graphql(START_SCHEDULE)["startSchedule"]["__typename"] == (
            "ScheduleStateResult"
        )
        expanded = ",".join(f"global%40global%3A{group}" for group in GROUPS)
        page.goto(f"{server.url}/asset-groups?expanded={expanded}")
        for key in KEYS:
            page.locator(f"text=/^{key}$/ >> visible=true").first.wait_for()
        assert server.finish(launched["run"]["runId"]) == "SUCCESS"

        add_partition_and_launch(page, server, LENGTH)
        until(lambda: server.run_of(LENGTH) is not None, RUN_S, "the launched run")
        run = server.run_of(LENGTH)
        assert run is not None
        assert server.finish(run) == "SUCCESS"
        built = folder / ".needle" / "assets" / "haystacks" / f"{LENGTH}.parquet"
        assert built.is_file()

    # As `make ui` starts it: the same instance, and no warning that nothing will be kept.
    with serve(folder, DAGSTER_HOME=str(folder)) as server:
        assert server.runs()[run] == "SUCCESS"
        assert server.partitions() == [LENGTH]
        assert server.schedule() == "RUNNING"

        page.goto(f"{server.url}/assets/haystacks?view=partitions&partition={LENGTH}")
        page.get_by_text("Materialized", exact=True).first.wait_for()
        page.get_by_text("[Show Markdown]").first.click()
        plot = page.locator('img[src^="data:image/svg+xml;base64,"]')
        plot.wait_for()
        assert plot.evaluate("image => image.naturalWidth") > 300

        log = (folder / "dg-dev.log").read_text()
        assert not re.search("WARNING|Traceback", log), log


def add_partition_and_launch(page: "Page", server: Server, length: str) -> None:
    page.goto(f"{server.url}/assets/haystacks")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Add a partition", exact=True).click()
    page.get_by_placeholder("name", exact=True).fill(length)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text(re.compile("Launched run|View")).first.wait_for()
