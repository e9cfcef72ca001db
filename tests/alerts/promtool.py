"""promtool of the Debian-built Prometheus, and what its unit tests share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.render import Rendering

RENDERING = Rendering()
LABELS: dict[str, str] = RENDERING.value("metric_catalogue_external_labels")
RULES: dict[str, Any] = RENDERING.value("metric_catalogue_prometheus_rules")


class Promtool:
    """promtool in a container that lives as long as the tests."""

    def __init__(self, container: str, folder: Path) -> None:
        self.container = container
        self.folder = folder

    def __call__(self, *arguments: str) -> str:
        """What it says, content or not; failures go to the other stream and must stay in their places."""
        joined = ["sh", "-c", 'exec promtool "$@" 2>&1', "promtool", *arguments]
        command = ["docker", "exec", "--workdir", "/tests", self.container, *joined]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def test(self, tests: dict[str, dict[str, Any]], rules: dict[str, Any] = RULES) -> dict[str, str]:
        """Run unit tests in promtool's own format; name of each -> what promtool says of it."""
        (self.folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        files = {f"{number}.yml": name for number, name in enumerate(tests)}
        for path, name in files.items():
            document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [tests[name]]}
            (self.folder / path).write_text(yaml.safe_dump(document), encoding="utf-8")
        parts = re.split(r"Unit Testing:  (\S+)\n", self("test", "rules", *files))
        return {files[path]: said for path, said in zip(parts[1::2], parts[2::2], strict=True)}


@contextmanager
def running(folder: Path) -> Iterator[Promtool]:
    """A container with the folder, which must be readable for its user."""
    listed = docker(
        "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "soundcheck/prometheus"
    ).splitlines()
    assert listed, "no soundcheck/prometheus image: run `make images` first"
    folder.chmod(0o755)
    container = docker(
        *("run", "--rm", "--detach", "--network", "none", "--volume", f"{folder}:/tests:ro"),
        *("--entrypoint", "sleep", listed[0], "900"),
    ).strip()
    try:
        yield Promtool(container, folder)
    finally:
        docker("rm", "--force", container)


def of_this_host(series: str) -> str:
    """The series with the labels that the collector adds."""
    name, _, rest = series.partition("{")
    own = [f'{label}="{value}"' for label, value in LABELS.items() if f'{label}="' not in rest]
    return f"{name}{{{','.join([*own, *filter(None, [rest.rstrip('}')])])}}}"


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
