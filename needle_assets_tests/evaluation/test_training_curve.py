"""The picture of a fine-tune's losses, read back from its specification and its SVG."""

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from needle_assets.evaluation.errors import EvaluationError
from needle_assets.evaluation.plots import to_svg, training_curve

EVENT_LOG_BYTES = 60_000


def texts(svg: str) -> list[str]:
    return [
        "".join(node.itertext())
        for node in ElementTree.fromstring(svg).iter()
        if node.tag.endswith("}text")
    ]


def rows_behind(chart: Any) -> list[dict[str, Any]]:
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows]


def losses(steps: int, **columns: Any) -> pd.DataFrame:
    step = np.arange(1, steps + 1)
    return pd.DataFrame({"step": step, "train_loss": 2.0 / step, **columns})


def drawn_losses(points: pd.DataFrame) -> dict[tuple[str, float], float]:
    return {
        (row["kind"], row["step"]): row["loss"]
        for row in rows_behind(training_curve(points, "tuned"))
        if "kind" in row
    }


def test_a_training_curve_draws_every_loss_and_says_the_first_and_the_last() -> None:
    points = losses(4, valid_loss=[np.nan, 1.5, np.nan, 0.75])

    shown = texts(to_svg(training_curve(points, "some-model")))

    assert drawn_losses(points) == {
        ("training", 1): 2.0,
        ("training", 2): 1.0,
        ("training", 3): pytest.approx(2 / 3),
        ("training", 4): 0.5,
        ("validation", 2): 1.5,
        ("validation", 4): 0.75,
    }
    assert {"some-model", "training", "validation", "step", "loss"} <= set(shown)
    assert "4 steps · training loss 2.00 to 0.50 · validation loss 0.75 at last" in shown


def test_the_learning_rate_has_a_panel_only_where_it_is_known() -> None:
    known = texts(to_svg(training_curve(losses(3, learning_rate=[1e-4, 2e-4, 0.0]), "tuned")))
    unknown = losses(3, learning_rate=[None, None, None], valid_loss=None)

    assert "learning rate" in known
    assert known.count("step") == 1
    assert "learning rate" not in texts(to_svg(training_curve(unknown, "tuned")))
    assert "validation" not in texts(to_svg(training_curve(unknown, "tuned")))


def test_a_step_reported_twice_counts_once_with_what_came_last() -> None:
    points = pd.DataFrame(
        {
            "step": [1, 2, 3, 2, 3, 3],
            "train_loss": [3.0, 2.0, 1.0, 2.5, 1.5, np.nan],
            # A service may tell the two losses of one step apart.
            "valid_loss": [np.nan, np.nan, np.nan, np.nan, np.nan, 1.75],
        }
    )

    assert drawn_losses(points) == {
        ("training", 1): 3.0,
        ("training", 2): 2.5,
        ("training", 3): 1.5,
        ("validation", 3): 1.75,
    }


def test_a_long_training_is_drawn_as_means_of_neighbours_and_says_so() -> None:
    points = losses(30_000).assign(train_loss=np.tile([1.0, 3.0], 15_000), learning_rate=1e-4)

    svg = to_svg(training_curve(points, "tuned"))

    assert len(drawn_losses(points)) == 200
    assert set(drawn_losses(points).values()) == {2.0}
    assert any("30,000 steps" in t and "means of 150 reports each" in t for t in texts(svg))
    assert len(svg.encode()) < EVENT_LOG_BYTES


def test_one_step_can_be_drawn() -> None:
    assert drawn_losses(losses(1)) == {("training", 1): 2.0}


@pytest.mark.parametrize("points", [losses(0), losses(3).assign(train_loss=np.nan)])
def test_a_training_without_losses_cannot_be_drawn(points: pd.DataFrame) -> None:
    with pytest.raises(EvaluationError):
        training_curve(points, "tuned")


def test_the_largest_picture_is_small_enough_for_an_event_log_and_always_the_same() -> None:
    chart = training_curve(losses(200, valid_loss=1.0, learning_rate=1e-4), "tuned")

    assert len(to_svg(chart).encode()) < EVENT_LOG_BYTES
    assert to_svg(chart) == to_svg(chart)
