"""From bios to prompts of an exact length: tokenizer, design, assembly, certificate.

Knows a label only as the canonical JSON of a `Task`; asks no model anything.
"""
