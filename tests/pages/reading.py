"""A page as a browser takes it apart: its tags, its text, and what it would load."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

LOADING = {"src", "srcset", "href", "action", "data", "poster", "background", "formaction", "xlink:href"}


@dataclass
class Read(HTMLParser):
    """Tags with their attributes in order, and all text."""

    content: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def links(self) -> list[str]:
        return [str(value) for _, attributes in self.tags for name, value in attributes.items() if name in LOADING]

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def is_harmless(content: bytes) -> bool:
    """Whether a page has no script, no handler, no style of an element, and loads nothing."""
    read = Read(content.decode())
    handlers = [name for _, attributes in read.tags for name in attributes if name.startswith("on") or name == "style"]
    tags = {tag for tag, _ in read.tags} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "foreignobject",
    }
    outside = [link for link in read.links if not link.startswith("#") and link != "data:," and "://" in link]
    return not (handlers or tags or outside)
