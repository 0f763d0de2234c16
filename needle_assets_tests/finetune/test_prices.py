import datetime
from pathlib import Path

import pytest

from needle_assets.finetune.errors import FinetuneError
from needle_assets.finetune.prices import (
    AnswersQuote,
    TrainingPrice,
    load_prices,
    quote_answers,
    require_affordable,
)
from needle_assets.finetune.providers import capabilities

OWN = """
training:
  - provider: azure
    model: gpt-4.1-*
    usd_per_million_tokens: 27.5
    as_of: 2026-11-01
    source: my contract
  - provider: openai
    model: gpt-4.1-2025-04-14
    usd_per_million_tokens: 1
    as_of: 2026-11-02
    source: my contract
"""


def own_table(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_every_built_in_price_is_dated_sourced_and_of_a_known_provider() -> None:
    table = load_prices()
    for price in table.training:
        assert capabilities(price.provider).name == price.provider
        assert price.as_of <= datetime.date(2026, 11, 22)
        assert price.source.startswith("https://") or price.provider == "embedded"


def test_only_ones_own_machine_is_free() -> None:
    free = {price.provider for price in load_prices().training if not price.usd_per_million_tokens}
    assert free == {"embedded"}


def test_a_price_is_found_by_provider_and_model() -> None:
    table = load_prices()
    found = table.find("openai", "gpt-4o-mini-2024-07-18")
    assert found is not None
    assert (found.usd_per_million_tokens, found.as_of) == (3, datetime.date(2026, 2, 7))
    crusoe = table.find("crusoe", "meta-llama/Llama-3.1-8B-Instruct")
    assert crusoe is not None
    assert crusoe.usd_per_million_tokens == 0.4


def test_a_model_that_is_not_in_the_table_has_no_price_rather_than_none_to_pay() -> None:
    table = load_prices()
    assert table.find("openai", "gpt-9") is None
    assert table.find("azure", "gpt-4.1-2025-04-14") is None
    assert table.find("unknown", "SmolLM2-135M-Instruct") is None


def test_ones_own_table_goes_before_the_built_in_one(tmp_path: Path) -> None:
    table = load_prices(own_table(tmp_path, OWN))
    mine = table.find("openai", "gpt-4.1-2025-04-14")
    azure = table.find("azure", "gpt-4.1-mini")
    built_in = table.find("openai", "gpt-4.1-mini-2025-04-14")
    assert mine is not None
    assert azure is not None
    assert built_in is not None
    assert mine.usd_per_million_tokens == 1
    assert azure.usd_per_million_tokens == 27.5
    assert built_in.usd_per_million_tokens == 5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("27.5", "-1"), "training entry 1 usd_per_million_tokens: .*greater than or equal to 0"),
        (("27.5", ".inf"), "training entry 1 usd_per_million_tokens: .*finite"),
        (("as_of: 2026-11-02", "as_of: soon"), "training entry 2 as_of"),
        (("source: my contract", "sauce: my contract"), "training entry 1 source"),
        (("usd_per_million_tokens: 1", "free: yes"), "training entry 2"),
        (("usd_per_million_tokens: 1", "usd_per_hour: 1\n    usd_per_million_tokens: 2"), "either"),
        (("training:", "prices:"), "training"),
        (("training:", "training: ["), "is not YAML"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    path = own_table(tmp_path, OWN.replace(*change))
    with pytest.raises(FinetuneError, match=f"mine.yaml.*{complaint}"):
        load_prices(path)


def test_a_table_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="none.yaml cannot be read: No such file"):
        load_prices(tmp_path / "none.yaml")
    with pytest.raises(FinetuneError, match="mine.yaml: .*expected a list `training`"):
        load_prices(own_table(tmp_path, ""))


def labelling(input_price: float | None, output_price: float | None) -> AnswersQuote:
    return quote_answers(
        "labelling 400 biographies",
        requests=400,
        prompt_tokens=200_000,
        answer_tokens=64_000,
        input_price=input_price,
        output_price=output_price,
        attempts=2,
    )


def test_answers_are_quoted_at_their_most() -> None:
    quote = labelling(0.4, 1.6)
    # 2 x (0.2 x 0.4 + 0.064 x 1.6)
    assert quote.usd == pytest.approx(0.3648)
    assert (quote.requests, quote.prompt_tokens, quote.answer_tokens) == (800, 400_000, 128_000)


@pytest.mark.parametrize("prices", [(None, 1.6), (0.4, None), (None, None)])
def test_answers_without_both_prices_have_no_sum(prices: tuple[float | None, float | None]) -> None:
    assert labelling(*prices).usd is None


@pytest.mark.parametrize(
    ("price", "tokens", "usd"),
    [
        ({"usd_per_million_tokens": 3}, 500_000, 1.5),
        ({"usd_per_million_tokens": 3}, None, None),
        ({"usd_per_million_tokens": 0}, None, 0.0),
        ({"usd_per_hour": 2}, 500_000, None),
    ],
)
def test_what_a_job_came_to_is_unknown_rather_than_free(
    price: dict[str, float], tokens: int | None, usd: float | None
) -> None:
    dated = {"provider": "p", "model": "m", "as_of": "2026-11-01", "source": "a contract"}
    assert TrainingPrice.model_validate(dated | price).cost_usd(tokens) == usd


def test_a_cap_lets_through_what_costs_no_more() -> None:
    require_affordable(labelling(0.4, 1.6), 0.3649)
    require_affordable(labelling(0, 0), 0)
    require_affordable(labelling(0.4, 1.6), None)
    require_affordable(labelling(None, None), None)


def test_a_cap_stops_what_costs_more_or_has_no_known_cost() -> None:
    with pytest.raises(
        FinetuneError, match=r"labelling 400 .* up to 0\.3648 USD, more than the 0\.36 USD"
    ):
        require_affordable(labelling(0.4, 1.6), 0.36)
    with pytest.raises(FinetuneError, match="labelling 400 .* no known cost, .* set both"):
        require_affordable(labelling(None, 1.6), 1000)
