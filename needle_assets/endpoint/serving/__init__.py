"""Serving models: engines behind an OpenAI-compatible address. No files or jobs here."""
