"""Synthetic questions and answers with a known design, for tests of scoring, statistics, report.

The people are made up; the answers get worse with the context length and in the middle of the
haystack, as real models' do, and every outcome occurs.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from needle_assets.evaluation.calibration import asked, sweep_questions, with_floor
from needle_assets.evaluation.client import ANSWERS_SCHEMA
from needle_assets.evaluation.registry import Prices, Training
from needle_assets.evaluation.scoring import Kind, score_table
from needle_assets.haystack.assembly import HAYSTACK_SCHEMA
from needle_assets.haystack.design import nominal_depths
from needle_assets.labels.biography import BIOGRAPHY_TASK, Biography, PartialDate
from needle_assets.seeding import generator

NATIONALITIES = ("British", "French", "Kenyan", "Peruvian", "American", "unknown")
GIVEN = ("Ada", "Bruno", "Celia", "Dario", "Edda", "Farid", "Greta", "Hugo", "Inez", "Joris")
FAMILY = ("Ambleforth", "Brackwater", "Coldharrow", "Dunmere", "Eastlock", "Fennimore")
STARTED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def question_row(label: str, **changes: Any) -> dict[str, Any]:
    """One row of `haystacks`."""
    row: dict[str, Any] = {
        "example_id": "test-512-00000-000",
        "split": "test",
        "context_length": 512,
        "draw": 0,
        "bio_id": "b1",
        "name": "ada brackwater",
        "depth": 50.0,
        "realised_depth": 48.5,
        "messages": [
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "a bio\nGive the JSON for ada brackwater."},
        ],
        "label": label,
        "prompt_tokens": 340,
        "target_tokens": 512,
        "needle": "a bio",
        "needle_first_token": 100,
        "needle_last_token": 160,
        "filler_ids": ["b2", "b3"],
    }
    return row | changes


def answer_row(answer: str | None, **changes: Any) -> dict[str, Any]:
    """One row of answers."""
    row: dict[str, Any] = {
        "example_id": "test-512-00000-000",
        "answer": answer,
        "finish_reason": "stop",
        "refusal": None,
        "error": None,
        "prompt_tokens": 340,
        "cached_tokens": 300,
        "completion_tokens": 60,
        "latency_s": 1.25,
        "fingerprint": "fp_a",
        "evaluated_at": STARTED,
    }
    return row | changes


def haystacks(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=HAYSTACK_SCHEMA)


def questions(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Questions of a sweep alone, without what it is measured against."""
    table = sweep_questions(BIOGRAPHY_TASK, haystacks(rows))
    return table.filter(pc.field("kind") == Kind.SWEEP.value)


def answers(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ANSWERS_SCHEMA)


def training(base: str, context_length: int, **changes: Any) -> Training:
    """The fine-tune of a model."""
    values: dict[str, Any] = {
        "base": base,
        "context_length": context_length,
        "job_id": "ftjob-1",
        "fingerprint": "4f1d",
        "cost_usd": None,
        "trained_tokens": 48_213,
        "finetuned_at": STARTED,
    }
    return Training(**(values | changes))


def sweep(
    model: str,
    lengths: Sequence[int],
    *,
    depths: int,
    draws: int,
    skill: float = 0.85,
    memory: float = 0.0,
    prices: Prices | None = None,
) -> pa.Table:
    """`eval_results` of a model that reads a field right with about the chance ``skill``.

    With the needle alone it errs half as often. By the name alone it knows a field with the chance
    ``memory``; else it says that nothing is known.
    """
    return pa.concat_tables(
        [
            _one_length(
                model,
                length,
                depths=depths,
                draws=draws,
                skill=skill,
                memory=memory,
                prices=prices,
            )
            for length in lengths
        ]
    )


def _one_length(
    model: str,
    length: int,
    *,
    depths: int,
    draws: int,
    skill: float,
    memory: float,
    prices: Prices | None,
) -> pa.Table:
    random = generator(7, model, length)
    rows, answered = [], []
    for draw in range(draws):
        luck = random.normal(0, 0.06)
        for k, depth in enumerate(nominal_depths(depths)):
            example_id = f"test-{length}-{draw:05d}-{k:03d}"
            person = (draw // depths) * depths + (k + draw) % depths
            gold = _person(person)
            name = f"{GIVEN[person % 10]} {FAMILY[person // 10 % 6]}".lower()
            rows.append(
                question_row(
                    BIOGRAPHY_TASK.canonical_json(gold),
                    example_id=example_id,
                    context_length=length,
                    draw=draw,
                    bio_id=f"bio-{person:04d}",
                    name=name,
                    depth=depth,
                    realised_depth=float(np.clip(depth + random.normal(0, 3), 0, 100)),
                    messages=[
                        {"role": "system", "content": BIOGRAPHY_TASK.system_prompt},
                        {"role": "user", "content": _text(random, name)},
                    ],
                    needle=_line(random, name),
                    prompt_tokens=length - 170,
                )
            )
            middle = 1 - abs(depth - 50) / 50
            chance = skill + luck - 0.04 * np.log2(length / 512) - 0.12 * middle
            answered.append(
                _answer(random, gold, float(np.clip(chance, 0.02, 0.99)))
                | {
                    "example_id": example_id,
                    "prompt_tokens": length - 165,
                    "cached_tokens": 0 if k == 0 else length - 190,
                    "completion_tokens": int(random.integers(58, 75)),
                    "latency_s": float(random.gamma(4, 0.2) + length / 4000),
                    "evaluated_at": STARTED + timedelta(seconds=len(rows)),
                }
            )
    every = sweep_questions(BIOGRAPHY_TASK, haystacks(rows))
    answered += _calibration(model, length, every, skill, memory)
    return score_table(
        BIOGRAPHY_TASK,
        every,
        with_floor(BIOGRAPHY_TASK, every, answers(answered)),
        model=model,
        run_id=f"0b51c2de-{length:04d}-4e5f-9a3b-{sum(map(ord, model)):012d}",
        haystacks_version="1f0c",
        prices=prices,
    )


def _calibration(
    model: str, length: int, every: pa.Table, skill: float, memory: float
) -> list[dict[str, Any]]:
    """Answers about the needle alone and about the name alone."""
    random = generator(7, model, length, "calibration")
    rows: list[dict[str, Any]] = []
    for question in asked(every).to_pylist():
        if question["kind"] == Kind.SWEEP:
            continue
        gold = Biography.model_validate_json(question["label"])
        alone = question["kind"] == Kind.CEILING
        answer = (
            _answer(random, gold, (1 + skill) / 2) if alone else _recalled(random, gold, memory)
        )
        rows.append(
            answer
            | {
                "example_id": question["example_id"],
                "prompt_tokens": 230 if alone else 150,
                "cached_tokens": 130,
                "latency_s": 0.4,
                "evaluated_at": STARTED + timedelta(seconds=600 + len(rows)),
            }
        )
    return rows


def _recalled(random: np.random.Generator, gold: Biography, memory: float) -> dict[str, Any]:
    tree = gold.model_dump()
    for date in ("date_of_birth", "date_of_death"):
        for part in ("day", "month", "year"):
            if random.random() >= memory:
                tree[date][part] = 0
    for name, unknown in (
        ("nationality", "unknown"),
        ("sportsperson", False),
        ("politician", False),
    ):
        if random.random() >= memory:
            tree[name] = unknown
    return answer_row(json.dumps(tree))


def _person(at: int) -> Biography:
    random = generator(7, "person", at)
    living = random.random() < 0.4
    return Biography(
        nationality=str(random.choice(NATIONALITIES)),
        date_of_birth=PartialDate(
            day=int(random.integers(1, 29)),
            month=int(random.integers(1, 13)),
            year=int(random.integers(1850, 1990)),
        ),
        date_of_death=PartialDate(
            day=0 if living else int(random.integers(1, 29)),
            month=0 if living else int(random.integers(1, 13)),
            year=0 if living else int(random.integers(1930, 2015)),
        ),
        sportsperson=bool(random.random() < 0.35),
        politician=bool(random.random() < 0.25),
    )


def _text(random: np.random.Generator, name: str) -> str:
    people = (
        f"{GIVEN[int(random.integers(10))]} {FAMILY[int(random.integers(6))]}" for _ in range(4)
    )
    lines = [_line(random, person) for person in people]
    return "\n".join([*lines, BIOGRAPHY_TASK.question(name)])


def _line(random: np.random.Generator, name: str) -> str:
    jobs = ("footballer", "painter", "minister of trade", "chess player", "geologist", "singer")
    return (
        f"{name} -lrb- born {int(random.integers(1, 29))} march {int(random.integers(1850, 1990))} "
        f"-rrb- is a {random.choice(jobs)} who grew up by the sea and later moved inland ."
    ).lower()


def _answer(random: np.random.Generator, gold: Biography, chance: float) -> dict[str, Any]:
    fate = random.random()
    if fate < 0.01:
        return answer_row(None, finish_reason=None, error="HTTP 503 after 2 retries: overloaded")
    if fate < 0.02:
        return answer_row(None, refusal="I cannot help with personal data.")
    if fate < 0.03:
        return answer_row('{"nationality":"Fr', finish_reason="length")
    if fate < 0.05:
        return answer_row("Sure! She was born in 1911 & died <b>young</b>.")
    tree = gold.model_dump()
    for date in ("date_of_birth", "date_of_death"):
        for part, top in (("day", 28), ("month", 12), ("year", 2000)):
            if random.random() > chance:
                tree[date][part] = int(random.integers(0, top))
    if random.random() > chance:
        tree["nationality"] = str(random.choice(NATIONALITIES))
    for flag in ("sportsperson", "politician"):
        if random.random() > chance:
            tree[flag] = not tree[flag]
    return answer_row(json.dumps(tree))
