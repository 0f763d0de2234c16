import hashlib
from pathlib import Path

import pytest
from openai import OpenAI
from upath import UPath

from needle_assets.chat.clients import openai_client
from needle_assets.finetune.dataset import Dataset
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.preflight import Preflight, quote
from needle_assets.finetune.prices import load_prices
from needle_assets.finetune.providers import OPENAI
from needle_assets.finetune.upload import UploadReceipt, upload
from needle_assets.haystack.tokenizer import ReferenceTokenizer
from needle_assets_tests.support.files_server import Fault, FilesServer, files_server
from needle_assets_tests.support.scripted_server import Garble, scripted_server


def dataset(split: str, examples: int = 2) -> Dataset:
    content = f'{{"split": "{split}"}}\n'.encode() * examples
    return Dataset(
        split=split,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=examples,
        tokens=50 * examples,
        longest_example=50,
    )


BOTH = [dataset("train"), dataset("validation", 1)]


def client(server: FilesServer, key: str = "test-key", retries: int = 0) -> OpenAI:
    return openai_client(server.base_url, key, max_retries=retries)


def send(
    server: FilesServer, store: Path, *, retries: int = 0
) -> tuple[UploadReceipt, list[float]]:
    """Upload both files; the receipt, and how long it paused before other attempts."""
    pauses: list[float] = []
    receipt = upload(
        BOTH,
        context_length=512,
        client=client(server, retries=retries),
        store=UPath(store),
        pause=pauses.append,
    )
    return receipt, pauses


def test_without_an_endpoint_the_files_lie_in_the_store(tmp_path: Path) -> None:
    receipt = upload(BOTH, context_length=512, client=None, store=UPath(tmp_path / "512"))
    assert (tmp_path / "512" / "train.jsonl").read_bytes() == BOTH[0].content
    assert (tmp_path / "512" / "validation.jsonl").read_bytes() == BOTH[1].content
    assert receipt.train.file_id == str(tmp_path / "512" / "train.jsonl")
    assert receipt.train.sha256 == BOTH[0].sha256
    assert receipt.tokens == 150
    assert receipt.estimated_cost_usd is None


def test_the_endpoint_gets_the_exact_bytes_for_fine_tuning(tmp_path: Path) -> None:
    with files_server() as server:
        receipt = upload(
            BOTH, context_length=512, client=client(server), store=UPath(tmp_path / "512")
        )
    assert receipt.validation is not None
    assert server.contents[receipt.train.file_id] == BOTH[0].content
    assert server.contents[receipt.validation.file_id] == BOTH[1].content
    assert {file["purpose"] for file in server.files.values()} == {"fine-tune"}
    assert receipt.destination.startswith(server.base_url)
    assert not list(tmp_path.iterdir())


def test_what_is_there_already_is_not_sent_again(tmp_path: Path) -> None:
    with files_server() as server:
        receipts = [
            upload(BOTH, context_length=512, client=client(server), store=UPath(tmp_path))
            for _ in range(2)
        ]
        assert len(server.files) == 2
    assert receipts[0] == receipts[1]


def test_a_server_that_knows_no_paging_is_listed_once(tmp_path: Path) -> None:
    with files_server(paging=False) as server:
        for _ in range(2):
            upload(BOTH, context_length=512, client=client(server), store=UPath(tmp_path))
        assert len(server.files) == 2


def test_a_wrong_key_is_named_by_its_variable_and_not_printed(tmp_path: Path) -> None:
    with (
        files_server() as server,
        pytest.raises(FinetuneError, match="refuses the key; check NEEDLE_ENDPOINT_API_KEY") as e,
    ):
        upload(BOTH, context_length=1, client=client(server, "sk-bad"), store=UPath(tmp_path))
    assert "sk-bad" not in str(e.value)


def test_an_endpoint_that_is_down_is_named(tmp_path: Path) -> None:
    with files_server() as server:
        gone = client(server)
    with pytest.raises(FinetuneError, match=r"127\.0\.0\.1:\d+/v1/ cannot be reached"):
        upload(BOTH, context_length=512, client=gone, store=UPath(tmp_path))


def test_a_refused_file_gives_the_servers_reason(tmp_path: Path) -> None:
    with files_server() as server:
        server.refuse = "too few examples"
        with pytest.raises(
            FinetuneError,
            match=r"refused, .* sent needle-512-train-\w{16}\.jsonl: 400 too few examples",
        ):
            upload(BOTH, context_length=512, client=client(server), store=UPath(tmp_path))


def test_a_server_that_quotes_the_key_does_not_get_it_printed(tmp_path: Path) -> None:
    with files_server(api_key="sk-quoted-key") as server:
        server.refuse = "no files for sk-quoted-key"
        with pytest.raises(FinetuneError, match=r"no files for \[key\]") as caught:
            upload(
                BOTH,
                context_length=512,
                client=client(server, "sk-quoted-key"),
                store=UPath(tmp_path),
            )
    assert caught.value.__cause__ is None


def test_an_upload_that_is_cut_off_is_sent_once_more(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("cut")]
        receipt, _ = send(server, tmp_path)
        assert server.attempts == 3
        assert server.contents == {
            receipt.train.file_id: BOTH[0].content,
            receipt.validation.file_id if receipt.validation else "": BOTH[1].content,
        }


def test_an_upload_that_is_cut_off_twice_fails_with_what_happened(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("cut")] * 2
        with pytest.raises(FinetuneError, match=r"hung up .* sent needle-512-train"):
            send(server, tmp_path)
        assert server.attempts == 2
        assert server.files == {}


def test_a_file_whose_answer_was_lost_is_found_and_not_sent_twice(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("answer lost")]
        receipt, _ = send(server, tmp_path, retries=2)
        assert server.attempts == 2
        assert server.contents[receipt.train.file_id] == BOTH[0].content
        assert len(server.files) == 2


def test_half_a_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("half kept")]
        receipt, _ = send(server, tmp_path)
        assert server.deleted == ["file-0"]
        assert server.contents[receipt.train.file_id] == BOTH[0].content
    with files_server() as server:
        server.faults = [Fault("half kept")] * 2
        with pytest.raises(FinetuneError, match="keeps only part of .*: 19 of 38 bytes arrived"):
            send(server, tmp_path)


def test_a_busy_endpoint_is_asked_again_when_it_says(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [
            Fault("status", 429, headers={"Retry-After": "7"}),
            Fault("status", 503),
        ]
        _, pauses = send(server, tmp_path, retries=2)
        assert pauses == [7.0, 1.0]
        assert len(server.files) == 2


def test_an_endpoint_that_asks_for_no_pause_gets_one(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("status", 503, headers={"Retry-After": "0"})] * 2
        _, pauses = send(server, tmp_path, retries=2)
        assert pauses == [0.5, 1.0]


def test_an_endpoint_that_stays_busy_is_named(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("status", 429)] * 2
        with pytest.raises(FinetuneError, match=r"no more requests for now \(429 scripted 429\)"):
            send(server, tmp_path)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"{"])
def test_an_answer_that_cannot_be_read_hides_no_file(tmp_path: Path, body: bytes) -> None:
    kind = "application/json" if body == b"{" else "text/html"
    with scripted_server() as server:
        server.script("files.create", Garble(body, kind))
        receipt = upload(
            BOTH,
            context_length=512,
            client=openai_client(server.base_url, server.api_key, max_retries=0),
            store=UPath(tmp_path),
            pause=lambda _seconds: None,
        )
        assert server.requests["files.create"] == 2
        assert server.files[receipt.train.file_id] == BOTH[0].content


@pytest.mark.parametrize("route", ["files.list", "files.create"])
def test_a_page_in_place_of_the_api_is_told(tmp_path: Path, route: str) -> None:
    with scripted_server() as server:
        server.script_for_ever(route, Garble())
        if route == "files.create":
            server.script_for_ever("files.list", Garble(b'{"data": []}', "application/json"))
        with pytest.raises(FinetuneError, match="cannot be read, when it was sent needle-512-tr"):
            upload(
                BOTH,
                context_length=512,
                client=openai_client(server.base_url, server.api_key, max_retries=0),
                store=UPath(tmp_path),
                pause=lambda _seconds: None,
            )


def test_an_account_without_quota_is_not_asked_again(tmp_path: Path) -> None:
    with files_server() as server:
        server.faults = [Fault("status", 429, code="insufficient_quota")]
        with pytest.raises(FinetuneError, match="no quota left; add credit"):
            send(server, tmp_path, retries=2)
        assert server.attempts == 1


def test_no_proxy_stands_between_this_machine_and_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there: a client that used it would find nobody.
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with files_server() as server:
        receipt, _ = send(server, tmp_path)
    assert receipt.train.file_id in server.contents


def test_the_receipt_carries_preflight_and_quote(
    tmp_path: Path, reference_tokenizer: ReferenceTokenizer
) -> None:
    checked = Preflight(
        provider="openai",
        context_length=512,
        tokenizer=reference_tokenizer.name,
        examples=2,
        validation_examples=1,
        tokens=100,
        validation_tokens=50,
        longest_example=50,
        bytes=60,
        checks=(),
        warnings=(),
    )
    quoted = quote(
        checked,
        capabilities=OPENAI,
        model="gpt-4o-mini-2024-07-18",
        n_epochs=2,
        prices=load_prices(),
    )
    receipt = upload(
        BOTH,
        context_length=512,
        client=None,
        store=UPath(tmp_path),
        preflight=checked,
        quote=quoted,
    )
    # 100 tokens x 2 epochs x 3 USD a million.
    assert receipt.estimated_cost_usd == pytest.approx(0.0006)
    assert UploadReceipt.model_validate(receipt.model_dump(mode="json")) == receipt


def test_nothing_to_train_on_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="NEEDLE_TRAIN_EXAMPLES"):
        upload(
            [dataset("train", 0), dataset("validation")],
            context_length=512,
            client=None,
            store=UPath(tmp_path),
        )
