import hashlib
from pathlib import Path

import pytest
from openai import OpenAI
from upath import UPath

from needle_assets.finetune.dataset import Dataset
from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.upload import upload
from needle_assets_tests.support.files_server import FilesServer, files_server


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


def client(server: FilesServer, key: str = "test-key") -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key=key, max_retries=0)


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
        with pytest.raises(FinetuneError, match="does not take the file: 400 .*too few examples"):
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


def test_nothing_to_train_on_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="NEEDLE_TRAIN_EXAMPLES"):
        upload(
            [dataset("train", 0), dataset("validation")],
            context_length=512,
            client=None,
            store=UPath(tmp_path),
        )
