"""Render an HTML template in which everything is escaped that is not marked as HTML.

Ansible's own templating ignores autoescape, and much of a report is what a backend said.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

# What the pages share.
PARTS = Path(__file__).resolve().parents[2] / "templates" / "report"


def html_page(template: str, **variables: Any) -> str:
    """The page that the text of a template makes of the variables; a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = _utc
    return environment.from_string(str(template)).render(variables) + "\n"


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"html_page": html_page}
