"""Chat completions of OpenAI-compatible servers: many asked at once, and all answers journaled."""
