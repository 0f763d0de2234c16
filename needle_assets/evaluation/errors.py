"""What a user of the evaluation can mend."""

from needle_assets.errors import NeedleError


class EvaluationError(NeedleError):
    """A model cannot be asked as configured, or its results cannot be scored or drawn."""
