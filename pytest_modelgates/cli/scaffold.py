"""What `modelgates init` writes into a team's own repository."""

import argparse
from importlib import resources
from pathlib import Path

from ..artifacts import keeper_of
from ..errors import ModelgatesError, RefusedError
from ..storage.paths import is_folder
from .options import Verbs, argument

# Each file's name in the package, where it must not begin with a dot, and its place in the repository.
CI = {
    "github": {
        "nightly.yml": ".github/workflows/modelgates-nightly.yml",
        "action.yml": ".github/actions/modelgates/action.yml",
    },
    "gitlab": {"gitlab-ci.yml": ".gitlab-ci.yml"},
}


def templates(ci: str = "github") -> dict[str, str]:
    """List the templates with their places, those of CI among them."""
    return {
        "policy.toml": "registry/policy.toml",
        "operations.toml": "registry/operations.toml",
        "pack_example.py": "pack_example.py",
        "packing_list.toml": "packing_list.toml",
        **CI[ci],
        "gitignore": "artifacts/.gitignore",
        "pointer": "artifacts/policy",
    }


def write_templates(root: Path, ci: str = "github") -> list[tuple[Path, bool]]:
    """Write every template that is not there yet; an existing file is never touched.

    Parameters
    ----------
    root : Path
        The repository.
    ci : str, default "github"
        Whose file of CI is written.

    Returns
    -------
    list of (Path, bool)
        Each place, and whether it was written now.

    Raises
    ------
    ModelgatesError
        If there is no such folder, or a registry keeps its own files there.
    """
    if not is_folder(root):
        raise ModelgatesError(f"{root}: no such folder; make it first, or run this in your repository")
    if keeper := keeper_of(root):
        raise RefusedError(
            f"{root}: the registry {keeper.root} keeps its own files there; give the repository, such as "
            f"{keeper.root.parent}"
        )
    done = []
    for name, place in templates(ci).items():
        path = root / place
        content = (resources.files(__package__) / "templates" / name).read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:  # "x" refuses a link too, even a dangling one
                file.write(content)
        except FileExistsError:
            done.append((path, False))
        else:
            done.append((path, True))
    return done


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "init",
        init,
        argument("directory", type=Path, nargs="?", default=Path(), help="your repository; default: here"),
        argument(
            "--ci",
            choices=tuple(CI),
            default="github",
            help="whose file of CI is written: a workflow and its action, or .gitlab-ci.yml; default: github",
        ),
    )


def init(arguments: argparse.Namespace) -> int:
    """Write a policy, operations.toml, a packing example, a nightly CI job and ignore rules into your repository."""
    for path, written in write_templates(arguments.directory, arguments.ci):
        print(f"{'wrote' if written else 'kept '} {path}")
    return 0
