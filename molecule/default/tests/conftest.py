from __future__ import annotations

pytest_plugins = ["server_fixtures"]
