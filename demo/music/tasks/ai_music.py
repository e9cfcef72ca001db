"""Music by an AI, or at least the load that one would be: memory and time."""

from __future__ import annotations

import hashlib
import time

from celery import shared_task

from music.models import Music

MAX_MEGABYTES = 900
MAX_SECONDS = 60.0
_PAGE = 4096


@shared_task
def generate_music_task(prompt: str, *, megabytes: int = 16, seconds: float = 1.0) -> int:
    """Hold `megabytes` of memory for `seconds`, then publish the song; returns its id.

    Both are bounded, yet a worker with the guide's first limit (350M) is killed well below the bound:
    that is its second scenario.
    """
    model = bytearray(min(max(megabytes, 0), MAX_MEGABYTES) << 20)
    # Untouched pages cost nothing; writing one byte into each makes the memory real.
    model[::_PAGE] = b"\x01" * len(range(0, len(model), _PAGE))
    time.sleep(min(max(seconds, 0.0), MAX_SECONDS))
    fingerprint = hashlib.sha256(prompt.encode()).hexdigest()[:8]
    return Music.objects.create(title=f"{prompt[:150]} ({fingerprint})", artist="AI", is_ai=True).pk
