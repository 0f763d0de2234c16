"""What a certificate of haystacks says: the rules by name, and what each of them found.

How a rule is asked is `certify`'s.
"""

from dataclasses import dataclass

PROMPT = "prompt"
LENGTH = "length"
PROMPT_TOKENS = "prompt_tokens"
WHOLE_BIOS = "whole_bios"
OWN_SPLIT = "own_split"
NEEDLE = "needle"
NEEDLE_TOKENS = "needle_tokens"
FILLERS = "fillers"
REALISED_DEPTH = "realised_depth"
DEPTH_KEPT = "depth_kept"
LABEL = "label"
DISTINCT = "distinct"
NEEDLES_ONCE = "needles_once"
LENGTHS_MIX = "lengths_mix"
DEPTHS_UNIFORM = "depths_uniform"
TEST_DRAWS = "test_draws"

RULES = {
    PROMPT: "instructions of the task, then bios, then the question about the name, nothing after",
    LENGTH: "prompt and answer reserve are at most the length, and 99 % of it from 2048 up",
    PROMPT_TOKENS: "the recorded number of prompt tokens is the true one",
    WHOLE_BIOS: "every line but the question is a whole biography, none is there twice",
    OWN_SPLIT: "every biography is of the row's own split",
    NEEDLE: "the needle is recorded as the corpus has it and stands in the prompt once",
    NEEDLE_TOKENS: "the needle's first and last token are the recorded ones",
    FILLERS: "the recorded fillers are the other lines in order",
    REALISED_DEPTH: "the recorded realised depth is the true one",
    DEPTH_KEPT: "a training needle starts within one biography of its depth; a test needle at 0 "
    "is first and at 100 last, exactly",
    LABEL: "the label is the task's canonical JSON",
    DISTINCT: "no example and no id occurs twice",
    NEEDLES_ONCE: "no needle serves two training or validation examples",
    LENGTHS_MIX: "lengths of training and validation examples are mixed as declared",
    DEPTHS_UNIFORM: "depths of training examples are uniform (chi-square, 10 bins)",
    TEST_DRAWS: "each test draw is one haystack of its own, asked once at each depth from "
    "first to last, and no needle is asked twice at one depth",
}
"""What each rule says, in the order in which they are reported."""


@dataclass(frozen=True)
class RuleResult:
    """What one rule found."""

    rule: str
    checked: int
    """Rows that the rule was asked of."""
    failed: int
    examples: tuple[str, ...]
    """The first example_ids that failed, five at most."""
    detail: str = ""
    """What is wrong with the first of them, or with the table."""


@dataclass(frozen=True)
class Certificate:
    """What `certify` found. ``rules`` are in the order of `RULES`."""

    rows: int
    rules: tuple[RuleResult, ...]
    least_filled: float | None
    """Smallest share of its length that a prompt with its answer's reserve takes, among lengths
    from 2048 up; None where there is none."""
    most_filled: float | None
    """The largest such share, among all lengths."""
    depth_examples: int
    """Training examples whose depths were tested, 0 where there were too few to test."""
    depth_chi_square: float | None
    depth_p_value: float | None

    @property
    def broken(self) -> tuple[RuleResult, ...]:
        """The rules that some row or the table breaks."""
        return tuple(result for result in self.rules if result.failed)

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken
