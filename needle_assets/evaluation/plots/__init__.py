"""Pictures of tables, as small SVGs: scores, fine-tunes, what was asked.

What a number means, and how it was computed, is `statistics`; pages are `report`.
"""

from needle_assets.evaluation.plots.questions import depth_chart, histogram
from needle_assets.evaluation.plots.scores import curve, difference_heatmap, heatmap
from needle_assets.evaluation.plots.style import COLOURS, signed, to_png, to_svg
from needle_assets.evaluation.plots.training import training_curve

__all__ = [
    "COLOURS",
    "curve",
    "depth_chart",
    "difference_heatmap",
    "heatmap",
    "histogram",
    "signed",
    "to_png",
    "to_svg",
    "training_curve",
]
