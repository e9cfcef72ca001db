"""Celery discovers this package, not its modules: they are imported here.

None of the tasks names itself, so each is registered under its full module path, for example
`music.tasks.ai_music.generate_music_task`. A route must use that name.
"""

from music.tasks import ai_music, charts, cleanup, covers, royalties, stores

__all__ = ("ai_music", "charts", "cleanup", "covers", "royalties", "stores")
