"""Makes the repository of a row and its run."""

import functools
import shlex
import shutil
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_modelgates.evidence.seal import generate_key
from pytest_modelgates.model.directory import MANIFEST
from pytest_modelgates.storage.digests import tree_digest
from tests.refusals.deeds import DEEDS, OTHER, Run, set_value
from tests.refusals.rows import HERE, Case
from tests.support.warm import USUAL, Server, run_fresh

SOURCES = Path(__file__).parents[2] / "pytest_modelgates"
PLAIN = ("-p", "no:hypothesispytest")


class Workshop:
    """Two models, a place for repositories, and a server that forks runs."""

    def __init__(self, good: Path, broken: Path, folder: Callable[[str], Path], server: Server) -> None:
        self._models, self._folder, self._server = (good, broken), folder, server
        self._files = tomllib.loads((HERE / "repository.toml").read_text())["files"]

    def make(self, case: Case) -> Run:
        """Make the repository of a case, its run, and what happens after that."""
        root = self._folder(case.id.replace(".", "-")[:40])
        model = self._repository(case, root)
        run = Run(root, model, self._output(case, model, root))
        self._afterwards(case, run)
        return run

    def _afterwards(self, case: Case, run: Run) -> None:
        for place, value in case.row.get("edit", {}).items():
            set_value(run, place, value)
        after = case.row.get("after", [])
        for name in [after] if isinstance(after, str) else after:
            DEEDS[name](run)

    def make_shards(self, case: Case) -> tuple[Run, list[Path]]:
        """Make the repository of a case and share its run between two shards; what happens then, does to the first."""
        root = self._folder(f"shards-{case.id.replace('.', '-')[:40]}")
        model = self._repository(case, root)
        output, second = self._output(case, model, root, " --gate-shard=1/2"), root / "second.json"
        more = f"{case.text('words')} --gate-shard=2/2 --gate-report={second}"
        run = Run(root, model, output + self._pytest(case, model, root, more))
        self._afterwards(case, run)
        sealed = run.report.with_suffix(".dsse.json")
        return run, [sealed if sealed.is_file() else run.report, second]

    def _repository(self, case: Case, root: Path) -> Path:
        source, another = reversed(self._models) if case.text("model") == "broken" else self._models
        model = root / "artifacts" / "models" / source.name
        shutil.copytree(source, model)
        for place, name in ((model.parent / OTHER, OTHER), (root / "another", source.name)):
            shutil.copytree(another, place)
            manifest = place / MANIFEST
            manifest.write_text(manifest.read_text().replace(another.name, name))
        for name in case.row.get("copies", []):
            shutil.copytree(source, model.parent / name)
        for name, target in case.row.get("links", {}).items():
            (root / name).symlink_to(target.replace("{model}", model.name))
        for name, content in (self._files | case.row.get("files", {})).items():
            path = root / name.replace("{model}", str(model))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("{model}", str(model)))
        self._add_evidence(case, model, root)
        if case.text("shadow"):
            self._shadow(root / case.text("shadow") / SOURCES.name)
        return model

    def _add_evidence(self, case: Case, model: Path, root: Path) -> None:
        today = datetime.now(UTC).date()
        known = {"{key}": generate_key(root / "ours.pem"), "{digest}": tree_digest(model)}
        known |= {"{yesterday}": f"{today - timedelta(days=1)}", "{tomorrow}": f"{today + timedelta(days=1)}"}
        evidence = case.text("evidence")
        for name, value in known.items():
            evidence = evidence.replace(name, value)
        with (root / "registry" / "policy.toml").open("a") as file:
            file.write(evidence + "\n")

    def _shadow(self, package: Path) -> None:
        shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
        gate = package / "gating" / "gate.py"
        gate.write_text(gate.read_text().replace("limit.contains(value)", "True"))

    def _output(self, case: Case, model: Path, root: Path, more: str = "") -> str:
        if case.text("by") == "lazy":
            (root / "report.json").write_bytes(self._good_report)
            return ""
        if case.text("by") == "gates":
            return ""
        if "first" in case.row:
            self._pytest(case, model, root, case.text("first"))
        return self._pytest(case, model, root, case.text("words") + more)

    def _pytest(self, case: Case, model: Path, root: Path, more: str) -> str:
        def split(text: str) -> list[str]:
            return shlex.split(text.replace("{model}", str(model)).replace("{root}", str(root)))

        words = [
            *split(case.text("paths", "checks")),
            *(() if case.text("plugins") == "all" else PLAIN),
            *split(case.text("given", "--model-dir={model}")),
            *(f"--gate-report={root / 'report.json'}", *split(more)),
        ]
        where: dict[str, Any] = {
            "folder": root / case.text("folder", "."),
            "environment": USUAL | {"COLUMNS": "100"} | case.variables(),
        }
        if case.fresh:
            done = run_fresh(words, python=split(case.text("python")), **where)
        else:
            done = self._server.run(words, **where)
        return f"pytest {shlex.join(words)}\n{done.output}\nexit {done.status}"

    @functools.cached_property
    def _good_report(self) -> bytes:
        run = self.make(Case("good", {}))
        return run.report.read_bytes()
