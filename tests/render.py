"""Render the project's templates as a deploy does, on this machine and without a host.

Variables come from a real inventory through Ansible's own loader, over the defaults and under the vars of the
roles; templates run through Ansible's templating with the settings of the action plugin `compose_project`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("ANSIBLE_CONFIG", str(Path(__file__).resolve().parents[1] / "ansible.cfg"))

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.vars.manager import VariableManager

from plugins.action.compose_project import MANAGED, config_digest

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "templates"

# Ansible's order of precedence among roles is the order of the play; these describe and share nothing.
ROLES = (
    *("metric_catalogue", "app_stack", "rabbitmq_prometheus"),
    *("cadvisor", "node_exporter", "celery_exporter", "postgres_exporter"),
    *("grafana_agent", "alloy", "prometheus_agent"),
    *("contact_points", "metrics_backend", "diagnostics", "telemetry"),
)

# What only a deploy can know: secrets, and the tags of images that are built.
IMAGES = {
    "app": "registry.example.com/music:1",
    "rabbitmq": "rabbitmq:4.2.1",
    "postgres": "postgres:17.6",
    "flower": "mher/flower:2.0.1",
    "cadvisor": "ghcr.io/google/cadvisor:v0.60.5",
    "node_exporter": "prom/node-exporter:v1.10.2",
    "celery_exporter": "danihodovic/celery-exporter:0.12.2",
    "postgres_exporter": "quay.io/prometheuscommunity/postgres-exporter:v0.18.1",
    "prometheus": "prom/prometheus:v3.5.0",
    "alertmanager": "prom/alertmanager:v0.31.1",
    "grafana_agent": "grafana/agent:v0.44.8",
    "alloy": "grafana/alloy:v1.18.1",
    "caddy": "caddy:2.11.4",
}
SECRETS = {
    "vault_django_secret_key": "render-django-key",
    "vault_database_password": "render-database-password",
    "vault_rabbitmq_password": "render-rabbitmq-p@ssword",
    "vault_flower_password": "render-flower-password",
    "vault_metrics_write_password": "render-write-password",
    "vault_metrics_read_password": "render-read-password",
    "vault_slack_webhook_url": "https://hooks.slack.com/services/T1/B1/render",
    "vault_discord_webhook_url": "https://discord.com/api/webhooks/1/render",
    "vault_telegram_bot_token": "1:render-telegram-token",
    "vault_smtp_password": "render-smtp-password",
}
OF_DEPLOY = {
    "container_images_refs": IMAGES,
    "container_images_versions": {key: ref.rsplit(":", 1)[1].lstrip("v") for key, ref in IMAGES.items()},
    **SECRETS,
    "app_version": "2026-11-01",
}

# No paths: the collections come with the package, and nothing else is to be found. Once a process is enough.
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([])
filter_loader.add_directory(str(ROOT / "plugins" / "filter"))


@dataclass
class Rendering:
    """One host of an inventory, with `settings` over everything, as `-e` would set them."""

    inventory: str = "inventories/local"
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def variables(self) -> dict[str, Any]:
        return (
            _of_roles("defaults")
            | of_inventory(self.inventory)
            | _of_roles("vars")
            | OF_DEPLOY
            | {"ansible_managed": MANAGED}
            | trusted(self.settings)
        )

    def value(self, name: str) -> Any:
        """A variable with every template in it resolved."""
        return plain(self._templar().template(trust_as_template("{{ " + name + " }}")))

    def template(self, path: str, **more: Any) -> str:
        """A template below templates/; a program is taken as it is."""
        source = (TEMPLATES / path).read_text(encoding="utf-8")
        if not path.endswith(".j2"):
            return source
        searchpath = [str((TEMPLATES / path).parent), str(TEMPLATES)]
        return str(
            self._templar(**more)
            .copy_with_new_env(searchpath=searchpath)
            .template(
                trust_as_template(source),
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True},
            )
        )

    def project(self, name: str) -> dict[str, str]:
        """Every file of the project `app` or `telemetry`: path to content."""
        entries = self.entries(name)
        compose_file = "docker-compose.prod.yml"
        files = {e["path"]: self._content(e) for e in entries if e["path"] != compose_file}
        digests = config_digest(entries, files)
        files[compose_file] = self.template(f"{name}/{compose_file}.j2", config_digest=digests)
        return files

    def entries(self, name: str) -> list[dict[str, Any]]:
        """What the roles say of each file of a project."""
        names = {"app": "app_stack_files + rabbitmq_prometheus_files", "telemetry": "telemetry_files"}
        entries: list[dict[str, Any]] = self.value(names[name])
        return entries

    def _content(self, entry: dict[str, Any]) -> str:
        return str(entry["content"]) if "content" in entry else self.template(entry["template"])

    def _templar(self, **more: Any) -> Templar:
        return Templar(loader=DataLoader(), variables=self.variables | more)


def plain(item: Any) -> Any:
    """The same data as plain Python, without Ansible's tags and lazy containers."""
    if isinstance(item, dict):
        return {str(key): plain(part) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return [plain(part) for part in item]
    return str(item) if isinstance(item, str) else item


def of_inventory(path: str) -> dict[str, Any]:
    """What Ansible knows of the first host of an inventory."""
    loader = DataLoader()
    # The folder of the playbooks, beside which their group_vars lie.
    loader.set_basedir(str(ROOT / "playbooks"))
    inventory = InventoryManager(loader=loader, sources=[str(ROOT / path)])
    host = inventory.get_hosts("all")[0]
    variables: dict[str, Any] = VariableManager(loader=loader, inventory=inventory).get_vars(host=host)
    return variables


@cache
def _of_roles(folder: str) -> dict[str, Any]:
    """What all roles say in `defaults` or `vars`; the same for every inventory, so read once."""
    loader = DataLoader()
    merged: dict[str, Any] = {}
    for role in ROLES:
        for path in sorted((ROOT / "roles" / role / folder).rglob("*.yml")):
            merged |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    return merged


def trusted(value: Any) -> Any:
    """Mark the strings of a setting as templates, as Ansible does with those of an inventory."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value
