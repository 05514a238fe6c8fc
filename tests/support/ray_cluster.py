"""A Ray cluster of two local nodes with the example's application; says how many replicas run for each line it reads.

python tests/support/ray_cluster.py PORT
"""

import os
import socket
import sys
from contextlib import ExitStack
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster

AGENTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


def node(address: str) -> dict[str, Any]:
    """Say how to start a node; its agents take as long as they need on a busy machine, since their ports are known."""
    with ExitStack() as taken:
        free = [taken.enter_context(socket.create_server(("", 0))) for _ in AGENTS]
        ports = {name: each.getsockname()[1] for name, each in zip(AGENTS, free, strict=True)}
    return {
        "node_ip_address": address,
        "num_cpus": 1,
        "object_store_memory": 100_000_000,
        "include_dashboard": False,
        **ports,
    }


def main() -> None:
    """Run the cluster until there are no more lines."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray prints there what nobody asked for
    # 127.0.0.1 would be replaced by the machine's own address.
    cluster = Cluster(initialize_head=True, head_node_args=node("127.0.0.2"))
    try:
        cluster.add_node(wait=True, **node("127.0.0.3"))
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        assert len({node["NodeManagerAddress"] for node in ray.nodes()}) == 2
        from examples.ray_serve import app

        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
        serve.run(app)
        print("ready", file=said, flush=True)
        for _ in sys.stdin:
            (deployment,) = serve.status().applications["default"].deployments.values()
            states = {str(getattr(state, "value", state)): count for state, count in deployment.replica_states.items()}
            print(states.get("RUNNING", 0), file=said, flush=True)
        serve.shutdown()
        ray.shutdown()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
