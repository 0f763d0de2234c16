from pathlib import Path

import pytest

from needle_assets.settings import SettingsError, load_settings, secret_from_env


def test_a_value_out_of_range_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLE_DRAWS", "0")
    with pytest.raises(SettingsError, match="NEEDLE_DRAWS: .*greater than or equal to 1"):
        load_settings()


def test_a_bad_key_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLE_ENDPOINT_API_KEY", "sk-secret")
    monkeypatch.setenv("NEEDLE_DRAWS", "many")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "sk-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    monkeypatch.setenv("NEEDLE_DRAWS", "5")
    assert "sk-secret" not in repr(load_settings())


def test_a_missing_key_names_the_variable() -> None:
    with pytest.raises(SettingsError, match="NO_SUCH_KEY is not set"):
        secret_from_env("NO_SUCH_KEY")


def test_fingerprint_depends_on_the_named_settings_only() -> None:
    settings = load_settings()
    other = settings.model_copy(update={"draws": settings.draws + 1})
    assert settings.fingerprint("seed") == other.fingerprint("seed")
    assert settings.fingerprint("seed", "draws") != other.fingerprint("seed", "draws")


def test_a_corpus_that_changes_on_disk_changes_its_stamp(tmp_path: Path) -> None:
    file = tmp_path / "c.parquet"
    file.write_bytes(b"1")
    settings = load_settings().model_copy(update={"corpus": str(file)})
    before = settings.corpus_stamp
    assert settings.corpus_stamp == before
    file.write_bytes(b"12")
    assert settings.corpus_stamp != before


@pytest.mark.parametrize(
    "address",
    ["https://me:s3cret@host/v1", "https://host/v1?api-key=s3cret", "https://h/v1#s3cret"],
)
def test_an_endpoint_with_a_secret_in_it_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(SettingsError, match="NEEDLE_ENDPOINT_URL: .*API_KEY") as caught:
        load_settings({"endpoint_url": address})
    assert "s3cret" not in str(caught.value)


def test_a_variable_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLE_LABELER_INPUT_PRICE", "")
    monkeypatch.setenv("NEEDLE_DEPTHS", "")
    settings = load_settings()
    assert (settings.labeler_input_price, settings.depths) == (None, 3)
