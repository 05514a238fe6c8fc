"""What a package index shows: README, and where the code can be read, which the build is told by $REPOSITORY_URL."""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


class WhereTheCodeIs(MetadataHookInterface):
    """The project's URLs, and README with links that work outside the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in what `pyproject.toml` calls dynamic."""
        url = os.environ.get("REPOSITORY_URL", "").rstrip("/")
        version = metadata["version"]
        tag = "HEAD" if "dev" in version else f"v{version}"

        def led(link: re.Match[str]) -> str:
            """Lead a link to the repository; without one a picture goes, and of a link its words stay."""
            picture, words, place = link.groups()
            if url:
                return f"{picture}[{words}]({url}/{'raw' if picture else 'blob'}/{tag}/{place})"
            return "" if picture else words

        text = LINK.sub(led, Path(self.root, "README.md").read_text("utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        if url:
            changes = f"{url}/blob/{tag}/CHANGELOG.md"
            metadata["urls"] = {"Source": url, "Issues": f"{url}/issues", "Changelog": changes}
