"""Long-context fine-tuning and evaluation as software-defined assets."""

__version__ = "0.1.0"
