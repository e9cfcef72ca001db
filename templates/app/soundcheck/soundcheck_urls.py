"""The app's URLs, with /metrics in front of them where the app does not serve it."""

from __future__ import annotations

import importlib

from django.conf import settings
from django.urls import Resolver404, path, resolve
from django_prometheus.exports import ExportToDjangoView


def _serves_metrics(urlconf: str) -> bool:
    """Whether the app's own /metrics is django-prometheus' view, and not a catch-all page."""
    try:
        return resolve("/metrics", urlconf=urlconf).func is ExportToDjangoView
    except Resolver404:
        return False


_app = importlib.import_module(settings.SOUNDCHECK_APP_URLCONF)
urlpatterns = [*_app.urlpatterns]
if not _serves_metrics(settings.SOUNDCHECK_APP_URLCONF):
    # The name is django-prometheus' own: it becomes the label `view`, which dashboards leave out.
    urlpatterns.insert(0, path("metrics", ExportToDjangoView, name="prometheus-django-metrics"))

# Error pages are looked up on the root URLconf, which is this module.
globals().update(
    {name: view for name, view in vars(_app).items() if name in {f"handler{n}" for n in (400, 403, 404, 500)}}
)
