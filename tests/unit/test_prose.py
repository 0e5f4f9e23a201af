"""What the prose of the project says about its own files is true."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

FOLDERS = ("masques_pipelines", "tests", "benchmarks", "sql", "docs")
SOURCES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".sql", ".md"} and "node_modules" not in path.parts
)
PAGES = sorted([*ROOT.glob("*.md"), *(path for path in SOURCES if path.suffix == ".md")])
FILES = {path.relative_to(ROOT).as_posix() for path in SOURCES}
# A name with a placeholder or a pattern in it names no single file.
_NAMED = re.compile(r"(?<![\w<>{}*./$-])(?:[\w-]+/)*[\w-]+\.(?:py|sql)\b(?![\w*<{(])")
_MODULE = re.compile(r"\bmasques_pipelines(?:\.[a-z]\w*)+")


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Returns the docstrings and comments of a file, with the number of their first line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield 1, text
    elif path.suffix == ".sql":
        for number, line in enumerate(text.splitlines(), 1):
            if "--" in line:
                yield number, line.partition("--")[2]
    else:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node, clean=False)
                if docstring:
                    yield node.body[0].lineno, docstring
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def _is_there(name: str, beside: Path) -> bool:
    return (beside.parent / name).exists() or any(
        file == name or file.endswith(f"/{name}") for file in FILES
    )


def test_each_file_that_prose_names_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{first + prose.count(chr(10), 0, match.start())}: {match[0]}"
        for path in [*SOURCES, *ROOT.glob("*.md")]
        for first, prose in _prose(path)
        for match in _NAMED.finditer(prose)
        if not _is_there(match[0], path)
    ]
    assert missing == []


def _resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        file = ROOT.joinpath(*parts[:length])
        if file.with_suffix(".py").exists():
            return True
        if file.is_dir():
            return length == len(parts)
    return False


def test_each_module_that_a_text_names_exists() -> None:
    # Also in the scripts that tests run as processes, which no linter reads.
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*SOURCES, ROOT / "README.md", ROOT / "Makefile", ROOT / "workspace.yaml"]
        for name in _MODULE.findall(path.read_text(encoding="utf-8"))
        if not _resolves(name)
    ]
    assert missing == []


def test_pages_wrap_at_100_columns() -> None:
    too_long = []
    for path in PAGES:
        is_code = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            is_code ^= line.startswith("```")
            if len(line) > 100 and not is_code and not line.startswith("|"):
                too_long.append(f"{path.relative_to(ROOT)}:{number}")
    assert too_long == []
