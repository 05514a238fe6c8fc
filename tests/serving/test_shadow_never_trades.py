"""The import contract names rooms and modules of the standard library; libraries that connect have too many names."""

import ast
import sys
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What scoring a row needs. A library that is added here must not reach a broker.
SCORING = {"msgspec", "numpy", "onnx", "onnxruntime", "pandas", "pyarrow"}  # the last reads numbers and parts


def source_of(module: str) -> Path | None:
    """The file of a module of this package; None for any other name."""
    place = ROOT / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imported_by(module: str, source: Path) -> set[str]:
    """Every name that a module imports, wherever in its code."""
    package = module if source.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = resolve_name(name, package) if node.level else name
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def test_what_scores_a_row_reaches_no_library_that_could_send_an_order() -> None:
    begins = ("adapter", "beside", "following")
    seen, waiting = set[str](), [f"pytest_modelgates.serving.{name}" for name in begins]
    while waiting:
        module = waiting.pop()
        source = source_of(module)
        if module not in seen and source:
            waiting += imported_by(module, source)
        seen.add(module)
    libraries = {name.partition(".")[0] for name in seen} - sys.stdlib_module_names - {"pytest_modelgates"}
    assert libraries == SCORING
