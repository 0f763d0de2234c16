"""A scripted OpenAI-compatible server of files, fine-tuning jobs and models, over real HTTP.

    with scripted_server() as server:
        server.script("jobs.create", Refuse(500, after=True))
        client = OpenAI(base_url=server.base_url, api_key=server.api_key)

Each route answers as it should unless a fault is scripted for it; bodies are built with the SDK's
own types. Nothing is trained: a job moves on by one stage of its life each time it is looked at.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from openai.types import FileDeleted, FileObject, Model
from openai.types.chat import ChatCompletion
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_START_S = 30.0


@dataclass(frozen=True)
class Refuse:
    """An error body; ``after`` the work was done, or instead of it."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


@dataclass(frozen=True)
class HangUp:
    """The connection is closed without an answer: after the work, or while the body comes in."""

    after: bool = False


@dataclass(frozen=True)
class HalfAnswer:
    """The work is done, and the connection closed in the middle of the answer."""


@dataclass(frozen=True)
class Stall:
    """The work is done, and the answer held back. The server's end is not delayed by it."""

    seconds: float = 30.0


@dataclass(frozen=True)
class Garble:
    """The work is done, and something else answered with status 200."""

    body: bytes = b"<html><body>Bad gateway</body></html>"
    content_type: str = "text/html"


@dataclass(frozen=True)
class Meanwhile:
    """Something else happens before the work is done."""

    what: Callable[[], object]


Fault = Refuse | HangUp | HalfAnswer | Stall | Garble | Meanwhile | None
"""None: no fault."""


@dataclass(frozen=True)
class Failed:
    """The stage of a job that failed, and why."""

    code: str
    message: str


Stage = str | Failed

ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Job:
    """One job as the server keeps it."""

    body: dict[str, Any]
    life: Sequence[Stage]
    listed_from: float
    """Of the server's clock: lists lag."""
    stage: int = 0
    steps: int = 0
    paid: bool = False
    """Whether it ever ran."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Newest first."""


class ScriptedServer:
    """The running server: what it holds, what was asked, and what goes wrong."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.api_key = "test-key-of-the-scripted-server"
        self.base_url = ""
        self.life: Sequence[Stage] = ("validating_files", "queued", "running", "succeeded")
        """Of the jobs created from now on; the last stage lasts."""
        self.list_lag_s = 0.0
        self.paging: Literal["cursor", "none", "repeated"] = "cursor"
        self.keeps_metadata = True
        self.filters = True
        self.shows_suffix = False
        self.retired: set[str] = set()
        """Models that are answered 404."""
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, bytes] = {}
        self.file_bodies: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        """Of the creates of jobs that were worked on."""
        self.closing = threading.Event()
        self._scripts: dict[str, Iterator[Fault]] = {}
        self._ids = itertools.count(1)

    def script(self, route: str, *faults: Fault) -> None:
        """The next requests to a route meet these faults, one each."""
        self._scripts[route] = itertools.chain(self._scripts.get(route, ()), faults)

    def script_for_ever(self, route: str, fault: Fault) -> None:
        """Every request to a route meets this fault, after those scripted before."""
        self.script(route, *())
        self._scripts[route] = itertools.chain(self._scripts[route], itertools.repeat(fault))

    def heal(self) -> None:
        """Forget all faults."""
        self._scripts.clear()
        self.list_lag_s = 0.0

    def next_fault(self, route: str) -> Fault:
        self.requests[route] += 1
        return next(self._scripts.get(route, iter(())), None)

    @property
    def living(self) -> list[str]:
        """Ids of the jobs that have not failed and were not cancelled."""
        dead = ("failed", "cancelled")
        return [name for name, job in self.jobs.items() if job.body["status"] not in dead]

    @property
    def paid(self) -> list[str]:
        """Ids of the jobs that ran or will."""
        return [name for name, job in self.jobs.items() if job.paid or name in self.living]

    def new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids):06d}"

    def add_job(self, **told: Any) -> Job:
        """Create a job, as a request does or another client would."""
        now = int(self.clock())
        method = told.get("method") or {}
        asked = told.get("hyperparameters") or method.get("supervised", {}).get("hyperparameters")
        body = FineTuningJob.construct(
            id=self.new_id("ftjob"),
            object="fine_tuning.job",
            created_at=now,
            model=told["model"],
            organization_id="org-scripted",
            training_file=told["training_file"],
            validation_file=told.get("validation_file"),
            hyperparameters={"n_epochs": 3, "batch_size": 4} | (asked or {}),
            seed=told.get("seed", 0),
            status="validating_files",
            result_files=[],
            metadata=told.get("metadata") if self.keeps_metadata else None,
            fine_tuned_model=None,
            finished_at=None,
            trained_tokens=None,
            error=None,
        ).model_dump(mode="json")
        if self.shows_suffix:
            body["user_provided_suffix"] = told.get("suffix")
        job = Job(body, self.life, listed_from=self.clock() + self.list_lag_s)
        self.jobs[body["id"]] = job
        self._enter(job)
        return job

    def look_at(self, job: Job) -> dict[str, Any]:
        """The job's body; its life goes on by one stage afterwards."""
        shown = dict(job.body)
        if shown["status"] not in ENDED and job.stage + 1 < len(job.life):
            job.stage += 1
            self._enter(job)
        return shown

    def cancel(self, job: Job) -> None:
        job.body["status"] = "cancelled"

    def tell(self, job: Job, message: str, data: dict[str, Any] | None = None) -> None:
        """Add an event to a job."""
        event = FineTuningJobEvent.construct(
            id=self.new_id("ftevent"),
            object="fine_tuning.job.event",
            created_at=int(self.clock()),
            level="info",
            message=message,
            type="metrics" if data else "message",
            data=data or {},
        )
        job.events.insert(0, event.model_dump(mode="json"))

    def _enter(self, job: Job) -> None:
        stage = job.life[job.stage]
        if isinstance(stage, Failed):
            job.body |= {
                "status": "failed",
                "error": {"code": stage.code, "message": stage.message, "param": None},
            }
            return
        job.body["status"] = stage
        self.tell(job, f"now {stage}")
        if stage == "running":
            job.paid = True
            for _ in range(2):
                job.steps += 1
                loss = round(2.0 / job.steps, 4)
                figures = {"step": job.steps, "train_loss": loss, "learning_rate": 1e-4}
                self.tell(job, f"step {job.steps}", figures)
        if stage == "succeeded":
            job.paid = True
            model = f"ft:{job.body['model']}::{job.body['id'][-6:]}"
            self.models[model] = Model.construct(
                id=model, object="model", created=int(self.clock()), owned_by="scripted"
            ).model_dump(mode="json")
            figures_file = self.new_id("file")
            lines = [f"{step},{2.0 / step:.4f}" for step in range(1, job.steps + 1)]
            self.files[figures_file] = "\n".join(["step,train_loss", *lines]).encode()
            job.body |= {
                "fine_tuned_model": model,
                "finished_at": int(self.clock()),
                "trained_tokens": 1234,
                "result_files": [figures_file],
            }


class _Routes:
    """What each route does when nothing goes wrong."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    async def files_create(self, request: Request) -> Response:
        form = await request.form()
        upload, server = form["file"], self._server
        assert not isinstance(upload, str)
        content = await upload.read()
        body = FileObject.construct(
            id=server.new_id("file"),
            object="file",
            bytes=len(content),
            created_at=int(server.clock()),
            filename=upload.filename,
            purpose=form["purpose"],
            status="processed",
        ).model_dump(mode="json")
        server.files[body["id"]], server.file_bodies[body["id"]] = content, body
        return JSONResponse(body)

    async def files_list(self, request: Request) -> Response:
        newest_first = [*self._server.file_bodies.values()][::-1]
        return self._page(request, newest_first)

    async def files_retrieve(self, request: Request) -> Response:
        return _found(self._server.file_bodies.get(request.path_params["id"]))

    async def files_content(self, request: Request) -> Response:
        content = self._server.files.get(request.path_params["id"])
        return _found(None) if content is None else Response(content, media_type="text/csv")

    async def files_delete(self, request: Request) -> Response:
        name = request.path_params["id"]
        if self._server.file_bodies.pop(name, None) is None:
            return _found(None)
        del self._server.files[name]
        deleted = FileDeleted.construct(id=name, object="file", deleted=True)
        return JSONResponse(deleted.model_dump(mode="json"))

    async def jobs_create(self, request: Request) -> Response:
        told = json.loads(await request.body())
        if told["training_file"] not in self._server.files:
            return _error(400, f"file {told['training_file']} does not exist", "invalid_file")
        self._server.bodies.append(told)
        return JSONResponse(self._server.add_job(**told).body)

    async def jobs_list(self, request: Request) -> Response:
        server = self._server
        listed = [job for job in server.jobs.values() if job.listed_from <= server.clock()]
        wanted = {
            name[len("metadata[") : -1]: value
            for name, value in request.query_params.items()
            if name.startswith("metadata[")
        }
        if server.filters:
            listed = [
                job for job in listed if wanted.items() <= (job.body.get("metadata") or {}).items()
            ]
        return self._page(request, [job.body for job in listed][::-1])

    async def jobs_retrieve(self, request: Request) -> Response:
        job = self._server.jobs.get(request.path_params["id"])
        return _found(None if job is None else self._server.look_at(job))

    async def jobs_cancel(self, request: Request) -> Response:
        job = self._server.jobs.get(request.path_params["id"])
        if job is None:
            return _found(None)
        if job.body["status"] in ENDED:
            return _error(400, f"the job has already {job.body['status']}", "invalid_status")
        self._server.cancel(job)
        return JSONResponse(job.body)

    async def jobs_events(self, request: Request) -> Response:
        job = self._server.jobs.get(request.path_params["id"])
        return _found(None) if job is None else self._page(request, job.events)

    async def jobs_checkpoints(self, request: Request) -> Response:
        job = self._server.jobs.get(request.path_params["id"])
        if job is None:
            return _found(None)
        checkpoint = FineTuningJobCheckpoint.construct(
            id=f"ftckpt-{job.body['id']}",
            object="fine_tuning.job.checkpoint",
            created_at=int(self._server.clock()),
            fine_tuned_model_checkpoint=f"{job.body['id']}:step-{job.steps}",
            fine_tuning_job_id=job.body["id"],
            metrics={"step": job.steps},
            step_number=job.steps,
        ).model_dump(mode="json")
        return self._page(request, [checkpoint] if job.steps else [])

    async def models_list(self, request: Request) -> Response:
        return self._page(request, [*self._server.models.values()])

    async def models_retrieve(self, request: Request) -> Response:
        name = request.path_params["id"]
        retired = name in self._server.retired or "*" in self._server.retired
        return _found(None if retired else self._server.models.get(name))

    async def chat(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        if asked["model"] not in self._server.models:
            return _found(None)
        message = {"role": "assistant", "content": "{}", "refusal": None}
        completion = ChatCompletion.construct(
            id="chatcmpl-scripted",
            object="chat.completion",
            created=int(self._server.clock()),
            model=asked["model"],
            choices=[{"index": 0, "finish_reason": "stop", "message": message}],
            usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        )
        return JSONResponse(completion.model_dump(mode="json"))

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Response:
        if self._server.paging == "none":
            return JSONResponse({"object": "list", "data": items})
        limit = int(request.query_params.get("limit", "20"))
        if self._server.paging == "repeated":
            return JSONResponse({"object": "list", "data": items[:limit], "has_more": True})
        after = request.query_params.get("after")
        ids = [item["id"] for item in items]
        start = ids.index(after) + 1 if after in ids else 0
        page = items[start : start + limit]
        more = start + limit < len(items)
        return JSONResponse({"object": "list", "data": page, "has_more": more})


_ROUTES = (
    ("POST", "/v1/files", "files_create"),
    ("GET", "/v1/files", "files_list"),
    ("GET", "/v1/files/{id}", "files_retrieve"),
    ("GET", "/v1/files/{id}/content", "files_content"),
    ("DELETE", "/v1/files/{id}", "files_delete"),
    ("POST", "/v1/fine_tuning/jobs", "jobs_create"),
    ("GET", "/v1/fine_tuning/jobs", "jobs_list"),
    ("GET", "/v1/fine_tuning/jobs/{id}", "jobs_retrieve"),
    ("POST", "/v1/fine_tuning/jobs/{id}/cancel", "jobs_cancel"),
    ("GET", "/v1/fine_tuning/jobs/{id}/events", "jobs_events"),
    ("GET", "/v1/fine_tuning/jobs/{id}/checkpoints", "jobs_checkpoints"),
    ("GET", "/v1/models", "models_list"),
    ("GET", "/v1/models/{id:path}", "models_retrieve"),
    ("POST", "/v1/chat/completions", "chat"),
)


class Host:
    """The HTTP side, which one server after the other can stand behind."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.server = ScriptedServer(time.time)

    def fresh(self, clock: Callable[[], float] = time.time) -> ScriptedServer:
        """A server with nothing in it takes the place of the one before; its times are the
        clock's.
        """
        self.close()
        self.server = ScriptedServer(clock)
        self.server.base_url = self.base_url
        return self.server

    def close(self) -> None:
        """Let go of whoever is held back."""
        self.server.closing.set()


@contextmanager
def scripted_server(clock: Callable[[], float] = time.time) -> Iterator[ScriptedServer]:
    """Run a `ScriptedServer` for the length of the block; its times are the clock's."""
    with scripted_host() as host:
        yield host.fresh(clock)


@contextmanager
def scripted_host() -> Iterator[Host]:
    """Run a `Host`: where many tests need a server each, its start is paid for once."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        host = Host(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        http = uvicorn.Server(
            uvicorn.Config(_app(host), lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=http.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait_until(lambda: http.started)
            yield host
        finally:
            host.close()
            http.should_exit = True
            thread.join()


def _app(host: Host) -> ASGIApp:
    app = Starlette(
        routes=[Route(path, _answering(host, name), methods=[verb]) for verb, path, name in _ROUTES]
    )

    async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
        # Nothing in ASGI hangs up on a client: that is done at the connection itself.
        scope["transport"] = send.__self__.transport  # type: ignore[attr-defined]
        await app(scope, receive, send)

    return with_transport


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_S
    while not reached():
        assert time.monotonic() < deadline, "the scripted server does not start"
        time.sleep(0.005)


def _answering(host: Host, name: str) -> Callable[[Request], Any]:
    """A route's handler: the fault that is next, around the work."""
    route = name.replace("_", ".")

    async def answer(request: Request) -> Response:
        server = host.server
        work = getattr(_Routes(server), name)
        if request.headers.get("authorization") != f"Bearer {server.api_key}":
            return _error(401, f"Incorrect API key: {server.api_key}", "invalid_api_key")
        fault = server.next_fault(route)
        transport = request.scope["transport"]
        if isinstance(fault, HangUp) and not fault.after:
            await anext(request.stream().__aiter__())
            return await _hang_up(transport)
        if isinstance(fault, Refuse) and not fault.after:
            await request.body()
            return _error(fault.status, fault.message, fault.code, fault.headers)
        if isinstance(fault, Meanwhile):
            # The request has arrived whole, whatever becomes of whom it came from.
            await request.body()
            await asyncio.to_thread(fault.what)
        response: Response = await work(request)
        match fault:
            case Refuse():
                return _error(fault.status, fault.message, fault.code, fault.headers)
            case HangUp():
                return await _hang_up(transport)
            case HalfAnswer():
                return _half(response, transport)
            case Stall():
                await asyncio.to_thread(server.closing.wait, fault.seconds)
            case Garble():
                return Response(fault.body, media_type=fault.content_type)
        return response

    return answer


async def _hang_up(transport: asyncio.Transport) -> Response:
    transport.abort()
    # The loop tells the server that the connection is lost before it would answer.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return Response()


def _half(response: Response, transport: asyncio.Transport) -> Response:
    whole = bytes(response.body)

    async def parts() -> Any:
        yield whole[: len(whole) // 2]
        transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    headers = {"content-length": str(len(whole)), "content-type": "application/json"}
    return StreamingResponse(parts(), headers=headers)


def _found(body: dict[str, Any] | None) -> Response:
    if body is None:
        return _error(404, "there is no such thing", "not_found")
    return JSONResponse(body)


def _error(
    status: int, message: str, code: str | None, headers: dict[str, str] | None = None
) -> Response:
    error = {"message": message, "type": "scripted", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status, headers=headers)
