"""The music service's project package; importing the Celery app here is what binds `shared_task` to it."""

from config.celery import app as celery_app

__all__ = ("celery_app",)
