"""The model of a feed: the link to it is looked at once a second, and another model is taken between two batches."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..artifacts import Artifacts
from ..errors import ModelgatesError
from ..predictions.records import Arm
from .adapter import Adapter, Settings
from .beside import refuse_other_features
from .dealing import Dealer
from .feeds import LIVE

_LOOK_S = 1.0
_AGAIN_S = 30.0  # until a model that could not be loaded is tried again


class Relinked:
    """An adapter, and the next one as soon as the link leads to another model that can take over.

    Parameters
    ----------
    onnx_path : Path
        As for `Adapter`.
    arm : str
    settings : callable
    trouble : callable
        Told why the model that the link names is not taken; None once there is nothing to tell.
    """

    def __init__(
        self,
        onnx_path: Path,
        *,
        arm: Arm,
        settings: Callable[[Artifacts], Settings],
        trouble: Callable[[str | None], None],
    ) -> None:
        self._path, self._arm, self._settings, self._trouble = onnx_path, arm, settings, trouble
        self._taken = os.path.realpath(onnx_path)
        self.adapter = self._dealing(Adapter(onnx_path, arm=arm, settings=settings))
        self._next: tuple[str, Adapter] | None = None
        self._failed = ""
        self._look_at = self._again_at = 0.0

    def moved(self) -> bool:
        """Whether another model waits to be taken."""
        now = time.monotonic()
        if self._next or now < self._look_at:
            return self._next is not None
        self._look_at = now + _LOOK_S
        wanted = os.path.realpath(self._path)
        if wanted == self._taken:
            if self._failed:
                self._failed = ""
                self._trouble(None)
            return False
        if wanted == self._failed and now < self._again_at:
            return False
        try:
            self._next = wanted, self._opened()
        except (ModelgatesError, OSError) as error:
            self._failed, self._again_at = wanted, now + _AGAIN_S
            self._trouble(f"wanted {wanted}, serving {self.adapter.model_id}, because {error}")
            return False
        return True

    def take(self) -> None:
        """Go over to the model that waits."""
        assert self._next is not None
        before, (self._taken, self.adapter) = self.adapter, self._next
        self._next, self._failed = None, ""
        self.adapter.switch.stop_as(before.switch)
        with suppress(OSError):  # on a full disk its part stays as one whose writer died
            before.close()
        self._trouble(None)

    def close(self) -> None:
        """Close what is open."""
        if self._next is not None:
            self._next[1].close()
        self.adapter.close()

    def _opened(self) -> Adapter:
        from .own_panel import refuse_other_scores, rows_of_panel  # here, since it loads much that few feeds need

        adapter = Adapter(self._path, arm=self._arm, settings=self._settings)
        try:
            refuse_other_features(self.adapter, adapter, self._path)
            refuse_other_scores(adapter, *rows_of_panel(adapter))
        except BaseException:
            adapter.close()
            raise
        return self._dealing(adapter)

    def _dealing(self, adapter: Adapter) -> Adapter:
        if self._arm == LIVE:
            adapter.dealer = Dealer(adapter, self._settings)
        return adapter
