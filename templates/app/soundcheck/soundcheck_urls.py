"""The app's URLs, with what the proxy and the collector ask in front of them."""

from __future__ import annotations

import importlib

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, path, resolve
from django_prometheus.exports import ExportToDjangoView
from soundcheck_health import RETIRED_FILE

# django-prometheus' own name for its page: it becomes the label `view`, which dashboards leave out.
NO_PAGE_OF_THE_APP = "prometheus-django-metrics"


def _serves_metrics(urlconf: str) -> bool:
    """Whether the app's own /metrics is django-prometheus' view, and not a catch-all page."""
    try:
        return resolve("/metrics", urlconf=urlconf).func is ExportToDjangoView
    except Resolver404:
        return False


def ready(request: HttpRequest) -> HttpResponse:
    """Whether this container takes requests; the proxy asks all the time. One that is to end says no."""
    if RETIRED_FILE.exists():
        return HttpResponse("retired\n", status=503, content_type="text/plain")
    return HttpResponse("ready\n", content_type="text/plain")


# For an app whose middleware sends everybody to its login page.
ready.login_required = False

_app = importlib.import_module(settings.SOUNDCHECK_APP_URLCONF)
urlpatterns = [path("soundcheck/ready", ready, name=NO_PAGE_OF_THE_APP), *_app.urlpatterns]
if not _serves_metrics(settings.SOUNDCHECK_APP_URLCONF):
    urlpatterns.insert(0, path("metrics", ExportToDjangoView, name=NO_PAGE_OF_THE_APP))

# Error pages are looked up on the root URLconf, which is this module.
globals().update(
    {name: view for name, view in vars(_app).items() if name in {f"handler{n}" for n in (400, 403, 404, 500)}}
)
