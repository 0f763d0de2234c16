"""docs/faults.md: every fault of the design has a regression test, and that test is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
FAULTS = [line for line in PAGE.read_text().splitlines() if "::test_" in line]


def functions_of(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_all_twelve_faults_are_there() -> None:
    assert len(FAULTS) == 12


@pytest.mark.parametrize("line", FAULTS, ids=lambda line: line.split("|")[1].strip()[:40])
def test_each_fault_has_its_tests(line: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", line)
    assert named
    assert [name for file, name in named if name not in functions_of(file)] == []
