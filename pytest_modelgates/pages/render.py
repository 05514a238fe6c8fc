"""From a template to the bytes of a page: all text escaped, no script, and nothing that the page could ask for."""

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..extras import extra
from ..storage.text import printable

TEMPLATES = Path(__file__).parent / "templates"
MARK = '<meta name=generator content="pytest-modelgates">'
"""Which every page holds, so that it is known as one of ours."""


def require() -> None:
    """Raise MissingExtraError unless pages can be written."""
    extra("jinja2", "pages")


def page(template: str, **content: Any) -> bytes:
    """Write a page.

    Parameters
    ----------
    template : str
        The name of a file in `templates`.
    **content
        What it shows. Text of any origin will do; only a `Chart` is written as it stands.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    require()
    text: str = _environment().get_template(template).render(content)
    return text.encode()


def is_page(content: bytes) -> bool:
    """Whether a file was written here."""
    return MARK.encode() in content[:1024]


def security_policy() -> str:
    """Say what a page may load: its own style, which is named by its digest, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _style() -> str:
    return (TEMPLATES / "style.css").read_text("utf-8")


@cache
def _environment() -> Any:
    jinja2 = extra("jinja2", "pages")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    markup = extra("markupsafe", "pages").Markup
    environment.globals.update(
        style=markup(_style()), policy=security_policy(), mark=markup(MARK), now=lambda: datetime.now(UTC)
    )
    return environment


def _finished(value: Any) -> Any:
    """Say what is missing by a dash, a moment in UTC, and any text on one line without control characters."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    # Markup is a kind of text too, and has its lines.
    return printable(value) if type(value) is str else value
