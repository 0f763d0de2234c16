"""The self-hosted OpenAI-compatible server. It imports nothing from the rest of the package."""
