"""From bios to prompts of an exact length: tokenizer, evaluation design, assembly, messages.

Knows a label only as the canonical JSON of a `Task`; asks no model anything.
"""
