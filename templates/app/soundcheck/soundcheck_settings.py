"""The app's own settings with Soundcheck's corrections; DJANGO_SETTINGS_MODULE points here.

SOUNDCHECK_APP_SETTINGS names the app's settings module, settings.json beside this file holds the values.
The app's image stays as it is.
"""

from __future__ import annotations

import importlib
import os
import socket
from pathlib import Path

import soundcheck_env
from soundcheck_overrides import SettingsError, load, overrides


def _own_addresses() -> list[str]:
    """The addresses of this container, one per network; none where the host name does not resolve."""
    try:
        return socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return []


def _app_settings() -> dict[str, object]:
    name = os.environ.get("SOUNDCHECK_APP_SETTINGS", "")
    if not name:
        raise SettingsError(
            "app_stack_settings_module: SOUNDCHECK_APP_SETTINGS must name the app's settings module, "
            "such as config.settings"
        )
    return {key: value for key, value in vars(importlib.import_module(name)).items() if key.isupper()}


# Programs that `docker exec` starts, manage.py for example, come without them.
soundcheck_env.load()
_app = _app_settings()
_config = load(Path(__file__).with_name("settings.json"))
globals().update(_app | overrides(_app, _config, os.environ, _own_addresses()))
