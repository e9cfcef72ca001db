"""The app's own beat scheduler, which also shows that its loop turns."""

from __future__ import annotations

from typing import Any

from celery.utils.imports import symbol_by_name
from django.conf import settings
from soundcheck_health import BEAT_FILE, touch

_Base: Any = symbol_by_name(settings.SOUNDCHECK_BEAT_BASE)


class TickingScheduler(_Base):
    """Touches a file after each turn.

    A turn that waits for an unreachable broker or database does not end, and the file grows old.
    """

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        delay = super().tick(*args, **kwargs)
        touch(BEAT_FILE)
        return delay
