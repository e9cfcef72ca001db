"""Refusals about Grafana: its address, its token, its folder, and how long a deploy may silence alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ansible.module_utils.deploy_marks import LONGEST_SILENCE
from ansible.module_utils.preflight_settings import PLACEHOLDER, VAULT_FILE
from ansible.module_utils.preflight_values import Problem, Settings, integer, truth

SERVICE_ACCOUNT = (
    "Grafana, Administration, Service accounts: add one with the role Admin and a token (glsa_...)"
)
_HOST_ALONE = "set scheme and host alone, such as https://example.grafana.net"


def address(settings: Settings) -> Iterator[Problem]:
    url = settings.get("grafana_url")
    if not url or not isinstance(url, str):
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield Problem("grafana_url", f"`{url}` has no scheme http or https", _HOST_ALONE)
        return
    if parts.username or parts.password:
        # Not shown: it may hold a password.
        yield Problem("grafana_url", "holds a user name or password", f"{_HOST_ALONE}; the token is enough")
        return
    if parts.path.strip("/") or parts.query or parts.fragment:
        rest = url.split(parts.netloc, 1)[1]
        yield Problem("grafana_url", f"`{url}` goes on with `{rest}` after the host", _HOST_ALONE)
    if parts.hostname.endswith(("example.com", "example.org", ".example")) or "<" in url:
        yield Problem("grafana_url", f"`{url}` is an example", "set the address of your Grafana")
    local = parts.hostname == "localhost" or parts.hostname.startswith("127.")
    if parts.scheme == "http" and not local and truth(settings.get("preflight_production")):
        yield Problem("grafana_url", f"`{url}` sends the token without TLS", "use https")


def token(settings: Settings) -> Iterator[Problem]:
    """The token of a service account; its value never becomes part of a message."""
    if not settings.get("grafana_url"):
        if _enabled(settings) and settings.get("grafana_provisioning_delivery", "api") == "api":
            remedy = "set it, or set grafana_provisioning_enabled to false"
            yield Problem("grafana_url", "is not set although grafana_provisioning_enabled is true", remedy)
        return
    name = "vault_grafana_token"
    value = str(settings.get(name) or "").strip()
    if not value:
        what = "is empty" if name in settings else "is not set although grafana_url is"
        yield Problem(name, what, f"set it in {VAULT_FILE}; {SERVICE_ACCOUNT}")
    elif PLACEHOLDER.fullmatch(value):
        yield Problem(name, "is still a placeholder", f"set a real one in {VAULT_FILE}; {SERVICE_ACCOUNT}")
    elif value.startswith("glc_"):
        found = "is an access policy token of Grafana Cloud (glc_...), which Grafana itself does not take"
        yield Problem(name, found, SERVICE_ACCOUNT)
    elif not value.startswith("glsa_"):
        yield Problem(name, "is no token of a service account, which begins with glsa_", SERVICE_ACCOUNT)


def folder(settings: Settings) -> Iterator[Problem]:
    uid = settings.get("grafana_provisioning_folder_uid")
    if isinstance(uid, str) and not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid):
        remedy = "use at most 40 letters, digits, - and _"
        yield Problem("grafana_provisioning_folder_uid", f"`{uid}`", remedy)
    title = settings.get("grafana_provisioning_folder_title")
    if isinstance(title, str) and (not title.strip() or "/" in title):
        # The label grafana_folder holds the path of a folder, with a slash between its parts.
        yield Problem("grafana_provisioning_folder_title", f"`{title}`", "set a title without `/`")


def host_of_files(settings: Settings) -> Iterator[Problem]:
    if settings.get("grafana_provisioning_delivery") != "files" or not _enabled(settings):
        return
    host, known = settings.get("grafana_provisioning_host"), settings["groups"]["all"]
    if host not in known:
        remedy = f"set it to one of {', '.join(known)}"
        yield Problem("grafana_provisioning_host", f"`{host}` is no host of the inventory", remedy)


def silence(settings: Settings) -> Iterator[Problem]:
    minutes = integer(settings.get("grafana_silence_minutes", 0))
    if minutes is not None and not 0 <= minutes <= LONGEST_SILENCE:
        remedy = f"set it from 0, for none, to {LONGEST_SILENCE}: a silence must end"
        yield Problem("grafana_silence_minutes", str(minutes), remedy)


def _enabled(settings: Settings) -> bool:
    return truth(settings.get("grafana_provisioning_enabled", False))


CHECKS = (address, token, folder, host_of_files, silence)
