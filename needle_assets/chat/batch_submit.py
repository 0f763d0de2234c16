"""One batch for the same questions, whatever is lost on the way: look, create, look again.

What is asked in which batch, and what becomes of it, is decided in `batches`.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from upath import UPath

from needle_assets.chat.batch_calls import Calls
from needle_assets.chat.batch_records import METADATA_KEY, BatchRecord, Label, record_of
from needle_assets.chat.errors import ChatError
from needle_assets.chat.remote import Trouble, growing_pauses, with_id
from needle_assets.storage import exclusive, write_json

if TYPE_CHECKING:
    from openai import OpenAI

_GIVEN_UP = frozenset(["cancelling", "cancelled"])


class _Noted(BaseModel):
    """What a round's note holds."""

    model_config = ConfigDict(frozen=True)

    name: str
    creating: str = ""
    """Label of the batch whose create was sent, until its answer is known."""
    batches: dict[str, str] = {}
    """Labels of those that are there, by their ids."""
    told: tuple[str, ...] = ()
    """Ids of batches that were refused or cancelled, and whose end somebody was told of."""


class Notes:
    """What a round writes down before it pays, so that a run that is killed is continued.

    The note also names the round: as long as it lies there, whoever asks goes on with that round.
    """

    def __init__(self, path: UPath | Path, name: str) -> None:
        """Open the note at ``path``, or begin one for a round of that name."""
        self._path = UPath(path)
        self._noted = self._read() or _Noted(name=name)
        self.name = self._noted.name

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the round for the length of a block, where the note lies on a local disk.

        Raises:
            ChatError: the round is over, and another one has begun.
            StorageError: another run holds it.
        """
        with exclusive(self._path, "the batches of this evaluation"):
            # Another run may have gone on with the round since it was opened here.
            noted = self._read()
            if noted is not None and noted.name != self.name:
                raise ChatError(
                    f"the batches of {self.name} are over, and {noted.name} has begun others: run "
                    "again to go on with those"
                )
            self._noted = noted or self._noted
            yield

    @property
    def creating(self) -> Label | None:
        """Of the batch whose create was sent, and nobody knows yet what became of it."""
        return Label.parse(self._noted.creating)

    @property
    def batches(self) -> dict[str, Label]:
        """What is known to be this round's, by its id."""
        labels = {name: Label.parse(text) for name, text in self._noted.batches.items()}
        return {name: label for name, label in labels.items() if label is not None}

    def about_to_create(self, label: Label) -> None:
        """Say what is created next."""
        self._write(creating=str(label))

    def refused(self) -> None:
        """Nothing was created."""
        self._write(creating="")

    def known(self, batches: Mapping[str, Label]) -> None:
        """These are the round's, and there is no other create whose end is unknown."""
        told = self._noted.batches | {name: str(label) for name, label in batches.items()}
        if told != self._noted.batches or self._noted.creating:
            self._write(creating="", batches=told)

    def not_told(self, batch_ids: Iterable[str]) -> tuple[str, ...]:
        """Those that are named here for the first time: the next call knows of them."""
        new = tuple(batch_id for batch_id in batch_ids if batch_id not in self._noted.told)
        if new:
            self._write(told=self._noted.told + new)
        return new

    def _read(self) -> _Noted | None:
        try:
            return _Noted.model_validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            # What cannot be read is as good as lost: the server's list knows the rest.
            return None

    def _write(self, **changes: Any) -> None:
        noted = self._noted.model_copy(update=changes)
        write_json(self._path, noted.model_dump(mode="json"))
        self._noted = noted


class Submission:
    """Finds and creates the batches of one round."""

    def __init__(
        self, calls: Calls, notes: Notes, mark: str, *, lag_s: float, creates: int
    ) -> None:
        self._calls = calls
        self._notes = notes
        self._mark = mark
        self._lag_s = lag_s
        self._creates = creates
        self._filenames: dict[str, str] | None = None

    def known(self, told: Iterable[BatchRecord] = ()) -> list[BatchRecord]:
        """The round's batches, oldest first; younger twins of a living one are cancelled.

        Args:
            told: what a receipt names, and no list may show any more.

        Raises:
            ChatError: the server refuses or does not answer.
        """
        labels = {batch.batch_id: batch.label(self._mark) for batch in told}
        awaited = self._notes.creating
        pauses, started = growing_pauses(), self._calls.clock()
        while True:
            found = self._look(labels | self._notes.batches)
            left = started + self._lag_s - self._calls.clock()
            # A create that was sent may show late, and must not be sent again before.
            there = awaited is None or any(b.fingerprint == awaited.fingerprint for b in found)
            if there or left <= 0:
                break
            self._calls.sleep(min(next(pauses), left))
        self._notes.known({batch.batch_id: batch.label(self._mark) for batch in found})
        return self._without_twins(found)

    def created(self, label: Label, content: bytes) -> BatchRecord:
        """The batch of a label: made now, or found where a create of it was not answered.

        Raises:
            ChatError: the server refuses, or does not answer.
            StorageError: the note cannot be written, and nothing was created.
        """
        unclear, pauses, started = 0, growing_pauses(), self._calls.clock()
        file_id = self._uploaded(label, content)
        while True:
            self._notes.about_to_create(label)
            try:
                made = self._calls.once(lambda client: _create(client, file_id, label))
            except Trouble as trouble:
                if trouble.status == 429 and trouble.passing:
                    self._notes.refused()
                    self._calls.bear("take the batch", trouble, next(pauses), since=started)
                    continue
                if not trouble.passing:
                    self._notes.refused()
                    raise self._calls.refusal("take the batch", trouble) from None
                unclear, made = unclear + 1, None
            else:
                self._notes.known({made.id: label})
            # After a create as well: another machine may have sent one at the same time.
            batches = (b for b in self.known() if b.fingerprint == label.fingerprint)
            if found := next(batches, None if made is None else record_of(made, label)):
                return found
            if unclear == self._creates:
                raise self._never_clear(label)

    def cancel(self, batch_ids: Iterable[str]) -> tuple[str, ...]:
        """Cancel batches; returns those that were, the others have ended by themselves."""
        cancelled = []
        for batch_id in batch_ids:
            with suppress(Trouble):
                self._calls.once(functools.partial(_cancel, batch_id=batch_id))
                cancelled.append(batch_id)
        return tuple(cancelled)

    def _look(self, noted: Mapping[str, Label]) -> list[BatchRecord]:
        """The round's batches as listed, and those that are known though no list shows them."""
        found, self._filenames = {}, None
        for batch in self._calls.pages("list its batches", _list_batches):
            label = noted.get(batch.id) or self._label_of(batch)
            if label is not None:
                found[batch.id] = record_of(batch, label)
        for batch_id, label in noted.items():
            if batch_id not in found:
                batch = self._calls.steady(
                    f"tell how the batch {batch_id} stands",
                    functools.partial(retrieved, batch_id=batch_id),
                )
                if batch is not None:
                    found[batch_id] = record_of(batch, label)
        return sorted(found.values(), key=lambda batch: (batch.created_at, batch.batch_id))

    def _label_of(self, batch: Any) -> Label | None:
        """Of a batch of this round; by its file's name at servers that keep no metadata."""
        metadata = getattr(batch, "metadata", None)
        if isinstance(metadata, dict) and METADATA_KEY in metadata:
            label = Label.parse(metadata[METADATA_KEY])
        elif metadata:
            return None
        else:
            label = Label.parse(self._names().get(getattr(batch, "input_file_id", None) or ""))
        return label if label is not None and label.mark == self._mark else None

    def _names(self) -> dict[str, str]:
        """The names of all uploaded batch files."""
        if self._filenames is None:
            files = self._calls.pages("list its files", _list_files)
            self._filenames = {file.id: str(getattr(file, "filename", "")) for file in files}
        return self._filenames

    def _without_twins(self, batches: Sequence[BatchRecord]) -> list[BatchRecord]:
        """The batches without those that two runs at once made in vain."""
        kept = []
        for batch in batches:
            twins = [other for other in batches if other.fingerprint == batch.fingerprint]
            lasting = [twin for twin in twins if twin.status not in _GIVEN_UP]
            first = (lasting or twins)[0]
            if batch is first or (batch.ended and batch.status not in _GIVEN_UP):
                kept.append(batch)
            elif batch in lasting:
                self.cancel([batch.batch_id])
        return kept

    def _uploaded(self, label: Label, content: bytes) -> str:
        """The id of the file of requests: sent now, or there from a run that was killed."""
        aim = f"take the file {label.filename}"
        pauses, started = growing_pauses(), self._calls.clock()
        while True:
            for file in self._calls.pages("list its files", _list_files):
                if file.filename == label.filename and file.bytes == len(content):
                    return str(file.id)
            try:
                return self._calls.once(
                    functools.partial(_upload, filename=label.filename, content=content)
                )
            except Trouble as trouble:
                if not trouble.passing:
                    raise self._calls.refusal(aim, trouble) from None
                self._calls.bear(aim, trouble, next(pauses), since=started)

    def _never_clear(self, label: Label) -> ChatError:
        return ChatError(
            f"the server at {self._calls.address} gave no clear answer to {self._creates} creates "
            f"of a batch, and none shows in its list after {self._lag_s:g} s each; look at its own "
            f"pages for a batch of the file {label.filename} before running again"
        )


def retrieved(client: "OpenAI", batch_id: str) -> Any | None:
    """A batch; None where the server has none of that id."""
    import openai

    try:
        return with_id(client.batches.retrieve(batch_id))
    except openai.NotFoundError:
        return None


def _create(client: "OpenAI", file_id: str, label: Label) -> Any:
    return with_id(
        client.batches.create(
            input_file_id=file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={METADATA_KEY: str(label)},
        )
    )


def _upload(client: "OpenAI", filename: str, content: bytes) -> str:
    file = with_id(client.files.create(file=(filename, content), purpose="batch"))
    if file.bytes != len(content):
        raise ValueError(f"{file.bytes} of {len(content)} bytes arrived")
    return file.id


def _cancel(client: "OpenAI", batch_id: str) -> None:
    client.batches.cancel(batch_id)


def _list_batches(client: "OpenAI", arguments: dict[str, Any]) -> Any:
    return client.batches.list(**arguments)


def _list_files(client: "OpenAI", arguments: dict[str, Any]) -> Any:
    return client.files.list(purpose="batch", **arguments)
