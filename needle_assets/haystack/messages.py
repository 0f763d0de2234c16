"""The chat messages of a prompt. What a question or a label says is the task's affair."""

from collections.abc import Iterable, Sequence

from needle_assets.labels.task import Task

Message = dict[str, str]
"""``{"role": ..., "content": ...}``, as OpenAI-compatible servers take it."""


def prompt_messages(task: Task, bios: Iterable[str], name: str) -> list[Message]:
    """The prompt: instructions, then one bio per line and the question on the last line.

    The question stands last so that all prompts of a draw share everything before it.
    """
    return [
        {"role": "system", "content": task.system_prompt},
        {"role": "user", "content": "\n".join([*bios, task.question(name)])},
    ]


def bio_lines(messages: Sequence[Message]) -> list[str]:
    """The bios of a prompt in order: the lines of its user's message but for the question."""
    return messages[-1]["content"].split("\n")[:-1]


def training_messages(messages: list[Message], label: str) -> list[Message]:
    """The prompt followed by its label (canonical JSON) as the assistant's answer."""
    return [*messages, {"role": "assistant", "content": label}]
