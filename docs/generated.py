"""Pages of the site that follow from the code: commands, policy, Python, statistics, and one for each gate.

A hook of mkdocs; `mkdocs.yml` names it. Nothing of what it writes is kept, and nothing of it is written twice.
"""

import argparse
import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import pytest_modelgates
import pytest_modelgates.drift
import pytest_modelgates.stats
from pytest_modelgates.cli.main import parser
from pytest_modelgates.policy.explained import explained
from pytest_modelgates.policy.load import load_policy
from pytest_modelgates.policy.policy import Policy

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)([^)]*)\)")


def on_config(config: MkDocsConfig) -> None:
    """Name headings as code hosts do, so that a link to one works there and here."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": slug}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what follows from the code."""
    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to where the code can be read, and those from a gate's name to its page."""
    here = Path(page.file.src_uri).parent

    def elsewhere(link: re.Match[str]) -> str:
        place = os.path.normpath(Path("docs", here, link[2].partition("#")[0]))
        if link[2].startswith("#") or place.startswith("docs"):
            return link[0]
        return f"[{link[1]}]({config.repo_url.rstrip('/')}/blob/HEAD/{place})" if config.repo_url else link[1]

    if page.file.src_uri == "gates.md":
        gates = {slo: row.gate or slo for slo, row in load_policy(None).slo.items()}
        markdown = re.sub(
            r"(?m)^\| (↳ )?`([\w.]+)` \|",
            lambda row: f"| {row[1] or ''}[`{row[2]}`](reference/gates/{gates[row[2]]}.md) |",
            markdown,
        )
    elif page.file.src_uri == "reference/python.md":
        markdown += "".join(
            f"\n#{interface(each, each.__all__)}" for each in (pytest_modelgates, pytest_modelgates.drift)
        )
    return "".join(
        part if part.startswith("```") else lists(LINK.sub(elsewhere, part))
        for part in re.split(r"(?ms)(^```.*?^```$)", markdown)
    )


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the theme's switch of colours the two elements that it looks for, also where no code is highlighted."""
    return output.replace("</head>", '<meta id="hljs-light"><meta id="hljs-dark"></head>', 1)


def lists(text: str) -> str:
    """Write lists as Python-Markdown asks for them: after a blank line, and four columns deeper within another."""
    item = r"(?:[-*]|\d+\.) "
    text = re.sub(r"(?m)^ +", lambda spaces: spaces[0] * 2, text)
    return re.sub(rf"(?m)^((?! |{item}|\|).+\n)(?={item})", r"\1\n", text)


def slug(heading: str, separator: str = "-") -> str:
    """Name a heading: small letters, a hyphen for each space, nothing but letters, digits and hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def pages() -> dict[str, str]:
    """Write every page that follows from the code, by its place below docs/."""
    written = {
        "reference/commands.md": commands(),
        "reference/policy.md": policies(),
        "reference/statistics.md": "# Statistics in Python\n\n" + modules(pytest_modelgates.stats),
    }
    written |= {f"reference/gates/{gate}.md": text for gate, text in gates(load_policy(None))}
    for module in pkgutil.iter_modules(pytest_modelgates.stats.__path__):
        found = importlib.import_module(f"pytest_modelgates.stats.{module.name}")
        names = [name for name, each in vars(found).items() if mine(found, name, each)]
        written[f"reference/stats/{module.name}.md"] = interface(found, names)
    return written


def commands() -> str:
    """Write the help of every verb, as a terminal of 80 columns shows it."""
    os.environ["COLUMNS"] = "80"
    top = parser()
    return f"# Commands\n\n{block(top.format_help())}" + "".join(
        f"\n## modelgates {name}\n\n{block(each.format_help())}" for name, each in verbs(top)
    )


def verbs(top: argparse.ArgumentParser, noun: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every verb with its parser, those of a noun after the noun."""
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                yield f"{noun}{name}", each
                yield from verbs(each, f"{noun}{name} ")


def policies() -> str:
    """Show both packaged files, whose comments say what each key is."""
    folder = ROOT / "pytest_modelgates" / "policy"
    sections, _, slos = (folder / "default.toml").read_text("utf-8").partition('[slo."')
    first = f'[slo."{slos.partition("[slo.")[0]}'
    return (
        "# Policy and operations\n\nA file of yours holds only what it changes; the packaged one fills in the rest.\n"
        "`modelgates policy show` prints what is in force.\n\n"
        f"## Policy\n\nThe packaged policy, up to its limits:\n\n{block(sections, 'toml')}\n"
        f"The first of its limits; [the gates](../gates.md) have all of them:\n\n{block(first, 'toml')}\n"
        "[A waiver](../how-to/gates.md#waive-a-gate) is written below them.\n\n"
        f"## Operations\n\n{block((folder / 'operations.toml').read_text('utf-8'), 'toml')}"
    )


def gates(policy: Policy) -> Iterator[tuple[str, str]]:
    """Write a page for each gate: what `modelgates explain` says of it, and the test itself."""
    tests = dict(sources())
    for gate in dict.fromkeys(slo.gate or name for name, slo in policy.slo.items()):
        family = gate.partition(".")[0]
        text = f"# {gate}\n\n" + block("\n\n".join(explained(policy, gate)))
        text += f"\nOne of the gates of [`{family}`](../../gates.md#{family}).\n"
        yield gate, f"{text}\n## The gate itself\n\n{block(tests[gate], 'python')}"


def sources() -> Iterator[tuple[str, str]]:
    """Each shipped gate's name, and the test that it is."""
    for path in sorted((ROOT / "gates").glob("test_*.py")):
        for test in re.split(r"\n\n\n", path.read_text("utf-8")):
            if found := re.search(r'^@pytest\.mark\.gate\("([\w.]+)"\)', test, re.MULTILINE):
                yield found[1], test


def modules(package: ModuleType) -> str:
    """Turn the table of a package's docstring into one of Markdown, with a link to the page of each module."""
    text = inspect.getdoc(package) or ""
    rows = re.findall(r"^(\w+) {2,}(.+)$", text.partition("=\nmodule")[2].partition("=\n")[2], re.MULTILINE)
    table = "".join(f"| [`{name}`](stats/{name}.md) | {question} |\n" for name, question in rows)
    return f"{text.partition('====')[0]}| module | question that it answers |\n|---|---|\n{table}"


def mine(module: ModuleType, name: str, found: Any) -> bool:
    """Whether a public function or class was written in a module."""
    return not name.startswith("_") and callable(found) and getattr(found, "__module__", "") == module.__name__


def interface(module: ModuleType, names: list[str]) -> str:
    """Write the interface of a module from its docstrings."""
    text = f"# {module.__name__}\n\n{plain(inspect.getdoc(module) or '')}\n"
    return text + "".join(
        f"\n## `{name}`\n\n{described(getattr(module, name))}" for name in sorted(names, key=str.lower)
    )


def described(found: Any) -> str:
    """Write how something is called and what it says of itself; of a class, its methods too."""
    if not callable(found):
        return block(repr(found), "python")
    text = block(f"{found.__name__}{signature(found)}", "python") + f"\n{plain(inspect.getdoc(found) or '')}\n"
    if inspect.isclass(found):
        for name, each in vars(found).items():
            if not name.startswith("_") and inspect.getdoc(each) and callable(getattr(each, "func", None) or each):
                text += f"\n**`.{name}`**: {plain(inspect.getdoc(each) or '')}\n"
    return text


def signature(found: Any) -> str:
    """How something is called; its docstring says the types."""
    try:
        called = inspect.signature(found)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in called.parameters.values()]
    return str(called.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def plain(text: str) -> str:
    """Turn a numpydoc docstring into Markdown: headings in bold, and parameters as a list."""
    lines, listed = list[str](), False
    for line, below in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if re.fullmatch(r"-{3,}", line):
            continue
        if re.fullmatch(r"-{3,}", below):
            listed = line in {"Parameters", "Returns", "Raises", "Attributes", "Yields", "Warns"}
            lines += [f"**{line}**", ""]
        elif listed and line and not line.startswith(" "):
            lines += ["", f"- `{line}`"]
        else:
            lines.append(line)
    text = re.sub(r"(?m)^\.\. (\[\d+\])", r"\1", "\n".join(lines))
    return re.sub(r"``(.+?)``", r"`\1`", re.sub(r"(\[\d+\])_", r"\1", text))


def block(text: str, language: str = "text") -> str:
    """Show text as it stands."""
    return f"```{language}\n{text.strip()}\n```\n"
