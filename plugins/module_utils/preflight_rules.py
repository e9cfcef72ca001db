"""All rules of the preflight: settings and survey in, refusals and reports out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible.module_utils import (
    preflight_contacts,
    preflight_diagnostics,
    preflight_formats,
    preflight_grafana,
    preflight_host,
    preflight_images,
    preflight_proxy,
    preflight_settings,
    preflight_sizing,
)
from ansible.module_utils.preflight_values import Problem, Settings, Survey, seconds


def problems(settings: Settings, survey: Survey) -> list[Problem]:
    """Every reason not to deploy, in the order an operator meets them."""
    modules = (
        *(preflight_settings, preflight_sizing, preflight_formats, preflight_proxy),
        *(preflight_grafana, preflight_contacts, preflight_diagnostics),
    )
    of_settings = [check for module in modules for check in module.CHECKS]
    of_host = (*preflight_images.CHECKS, *preflight_host.CHECKS, *preflight_proxy.HOST_CHECKS)
    found = [problem for check in of_settings for problem in check(settings)]
    found.extend(problem for check in of_host for problem in check(settings, survey))
    return found


def warnings(settings: Settings, survey: Survey) -> list[Problem]:
    """What works but should be known at every deploy."""
    return [
        *preflight_images.reported_end_of_life(settings, survey),
        *preflight_proxy.resting_on_others(settings),
        *preflight_host.second_web(settings, survey),
        *(warning for check in preflight_sizing.WARNINGS for warning in check(settings)),
        *preflight_sizing.waste(settings, survey),
        *data_points(settings),
        *preflight_contacts.unreached(settings),
    ]


def data_points(settings: Settings) -> Iterator[Problem]:
    """T16: Grafana Cloud bills the larger of series and data points per minute."""
    interval = settings.get("scrape_interval")
    length = seconds(interval)
    if settings.get("metrics_destination") == "grafana_cloud" and length and length < 60:
        found = f"{interval} makes {60 / length:.0f} data points per minute and series, which are billed"
        yield Problem("scrape_interval", found, "60s is one data point")


def without_repetition(found: Iterable[Problem]) -> list[Problem]:
    """One line per finding, in the given order: two roles may specify the same variable."""
    return list({(problem.variable, problem.found): problem for problem in found}.values())


def message(found: list[Problem], secrets: Iterable[str]) -> str:
    """The refusal as the operator reads it; should a secret have got into it, it is masked."""
    what = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    text = "\n".join([f"{what}, nothing was changed:", *(f"  {n}. {p}" for n, p in enumerate(found, 1))])
    for secret in secrets:
        text = text.replace(secret, "(secret)") if len(secret) >= 6 else text
    return text


def masked_secrets(settings: Settings) -> list[str]:
    """Values of vault_ variables that are secrets and not placeholders."""
    values = [str(value) for name, value in settings.items() if name.startswith("vault_") and value]
    return [value for value in values if not preflight_settings.PLACEHOLDER.fullmatch(value)]
