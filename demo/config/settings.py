"""Production settings as a team following the monitoring guide would have them.

They are deliberately the guide's own, mistakes included: the plain database engine (no `django_db_*`
metrics), no persistent connections or timeouts, a route whose key is no registered task name, and a
default queue that no worker consumes. Soundcheck corrects all of it from outside (soundcheck_settings.py),
so this file can show that an app need not change.
"""

from __future__ import annotations

import os

from celery.schedules import crontab

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django_prometheus",
    "music",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = os.environ.get("TIME_ZONE", "UTC")

DATABASES = {
    "default": {
        "ENGINE": os.environ.get("DATABASE_ENGINE", "django.db.backends.postgresql"),
        "NAME": os.environ["DATABASE_NAME"],
        "USER": os.environ.get("DATABASE_USER", ""),
        "PASSWORD": os.environ.get("DATABASE_PASSWORD", ""),
        "HOST": os.environ.get("DATABASE_HOST", ""),
        "PORT": os.environ.get("DATABASE_PORT", ""),
    }
}

CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_IGNORE_RESULT = True
# A request that queues a task must not hang while the broker is away.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2}
CELERY_BROKER_CONNECTION_TIMEOUT = 4

CELERY_TASK_ROUTES = {
    "music.tasks.generate_music_task": {"queue": "ai_queue"},
    "music.tasks.*": {"queue": "default"},
}

CELERY_BEAT_SCHEDULE = {
    "realtime-chart": {
        "task": "music.tasks.charts.update_realtime_chart",
        "schedule": crontab(minute="*/10"),
    },
    "daily-chart": {
        "task": "music.tasks.charts.update_daily_chart",
        "schedule": crontab(hour=0, minute=0),
    },
    "purge-plays": {
        "task": "music.tasks.cleanup.purge_plays",
        "schedule": crontab(hour=3, minute=30),
    },
    "purge-charts": {
        "task": "music.tasks.cleanup.purge_charts",
        "schedule": crontab(hour=4, minute=0),
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
