"""The adapter as a Ray Serve application: replicas that Ray scales, over the checks, guards and logs of `serve --http`.

    pip install 'pytest-modelgates[ray,serve]'
    MODELGATES_ONNX=/srv/desk/artifacts/models/latest.onnx serve run examples.ray_serve:app

Every replica verifies its model and scores its own panel before it is healthy, follows the link once a second, looks at
the kill file before every batch, and writes parts of the log of its own, so all nodes need the artifacts root under the
same path. A drill of the kill switch does not find replicas of Ray: they listen nowhere by themselves.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from pytest_modelgates.artifacts import Artifacts
from pytest_modelgates.policy.place import operations_at
from pytest_modelgates.serving.server import Server
from pytest_modelgates.serving.settings import settings_of

LOOK_S = 1.0


@serve.deployment(
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=64,
    health_check_period_s=LOOK_S,
    autoscaling_config={
        "min_replicas": int(os.environ.get("MODELGATES_REPLICAS_MIN", "1")),
        "max_replicas": int(os.environ.get("MODELGATES_REPLICAS_MAX", "4")),
        "target_ongoing_requests": 2,  # in each replica, on average; those that wait count
        "upscale_delay_s": float(os.environ.get("MODELGATES_UPSCALE_S", "10")),
        "downscale_delay_s": float(os.environ.get("MODELGATES_DOWNSCALE_S", "300")),
        "metrics_interval_s": 1,
        "look_back_period_s": 4,
    },
)
class Replica:
    """One replica.

    Parameters
    ----------
    onnx : str
        `latest.onnx` of an artifacts root, or a candidate's model.onnx.
    """

    def __init__(self, onnx: str) -> None:
        path = Path(onnx)
        limits = operations_at(Artifacts.of(path.resolve().parent)).serving
        # A model that does not verify raises here, and then the replica never becomes healthy.
        self._server = Server(path, arm="live", settings=settings_of, limits=limits)

    async def check_health(self) -> None:
        """Follow the link, and the plan of an A/B test; Ray asks once a second."""
        await self._server.follow()
        await self._server.deal()

    async def __call__(self, request: Request) -> Response:
        """Answer as the server over HTTP does."""
        sent = list[dict[str, Any]]()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._server.application(dict(request.scope), request.receive, send)
        start, body = sent
        reply = Response(body["body"], status_code=start["status"])
        reply.raw_headers = [*start["headers"]]
        return reply

    def __del__(self) -> None:
        """Close the part of the log."""
        with suppress(AttributeError, OSError):
            self._server.application.served.adapter.close()


deployment: Any = Replica
app = deployment.bind(os.environ.get("MODELGATES_ONNX", "artifacts/models/latest.onnx"))
