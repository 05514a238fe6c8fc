"""Gates that a machine-learning model must pass before it reaches production."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .packing.pack import pack

__all__ = ["pack"]


def __getattr__(name: str) -> Any:
    """Import `pack` when it is first asked for: pytest imports this package in every run of its environment."""
    if name == "pack":
        from .packing.pack import pack

        return pack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
