"""The verb `dashboard`: pages for a browser, written or served."""

import argparse
from pathlib import Path

from ..errors import RefusedError, UsageError
from ..storage.paths import is_there
from .feeds import address
from .options import ARTIFACTS, POLICY, Verbs, argument, artifacts_of, looking

PORT = 8765


def register(verbs: Verbs) -> None:
    """Add the verb."""
    verbs.add(
        "dashboard",
        dashboard,
        argument("--out", type=Path, metavar="DIR", help="write the pages into this folder instead of serving them"),
        argument(
            "--port",
            type=address,
            metavar="[HOST:]PORT",
            help=f"where to serve; the host is 127.0.0.1 unless given, the port {PORT}, and port 0 takes a free one",
        ),
        ARTIFACTS,
        POLICY,
    )


def dashboard(arguments: argparse.Namespace) -> int:
    """Serve four pages, or write them: registry, performance, quality, business (extra `pages`).

    They are read-only, have no script and load nothing. Each is written as it is asked for, from the ends of logs and
    the newest models. There is no password: everybody who may use this machine, or reach the HOST given, may read them.
    """
    from ..pages.dashboard import PAGES, one_page
    from ..pages.render import is_page, require
    from ..pages.serve import HOST, DashboardServer
    from ..storage.strict_json import read_bytes

    require()
    artifacts = artifacts_of(arguments)
    in_force = looking(artifacts, arguments)
    if arguments.out is not None:
        if arguments.port is not None:
            raise UsageError("--out writes the pages and --port serves them; give one of them")
        out = Path(arguments.out).resolve()
        if artifacts.keeps(out):
            raise RefusedError(f"{out}: the registry keeps its own files there; give --out another folder")
        places = {name: out / f"{name}.html" for name in PAGES}
        for place in places.values():
            if is_there(place) and not is_page(read_bytes(place)):
                raise RefusedError(f"{place}: a file that is not a page of the dashboard lies there; move it first")
        for name, place in places.items():
            artifacts.write(place, one_page(name, artifacts, in_force))
            print(place)
        return 0
    host, port = arguments.port or (HOST, PORT)
    with DashboardServer(port, lambda name: one_page(name, artifacts, in_force), host=host) as server:
        print(server.address, flush=True)
        server.serve_forever()
    return 0
