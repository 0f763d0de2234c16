"""Asking models, scoring their answers, and saying what the scores mean."""
