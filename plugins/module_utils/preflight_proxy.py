"""Refusals about what the public reaches: the domain and its DNS, the proxy's address, paths and limits."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ansible.module_utils.preflight_values import Problem, Settings, Survey, memory_bytes, truth

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_ALONE = "set the name alone, such as music.example.com, or leave it empty for plain HTTP"


def managed(settings: Settings) -> bool:
    """Whether the app project has its own proxy."""
    return str(settings.get("proxy", "caddy")) == "caddy"


def tls_domain(settings: Settings) -> str:
    """The domain for which the proxy gets a certificate; empty for none."""
    return str(settings.get("app_domain") or "") if managed(settings) else ""


def asked_names(settings: Settings) -> list[str]:
    """Names that the host shall resolve. Those below .localhost are loopback without any DNS (RFC 6761)."""
    name = tls_domain(settings)
    sound = name and not any(domain(settings))
    return [name] if sound and not name.endswith(".localhost") else []


def domain(settings: Settings) -> Iterator[Problem]:
    name = settings.get("app_domain") or ""
    if not isinstance(name, str) or not name:
        return
    if "://" in name:
        yield Problem("app_domain", f"`{name}` has a scheme", _ALONE)
    elif "/" in name or "@" in name:
        yield Problem("app_domain", f"`{name}` holds more than a name", _ALONE)
    elif _address(name) is not None:
        yield Problem("app_domain", f"`{name}` is an address, and no name to certify", _ALONE)
    elif re.search(r":\d*$", name):
        remedy = "set the name alone; the port is app_stack_proxy_https_port"
        yield Problem("app_domain", f"`{name}` has a port", remedy)
    elif not NAME.fullmatch(name):
        yield Problem("app_domain", f"`{name}` is not a domain name in lower case", _ALONE)
    elif name.endswith(("example.com", "example.org", "example.net", ".example")):
        yield Problem("app_domain", f"`{name}` is an example", "set the domain of your app")


def resolution(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """Without DNS the certificate authority finds no server, and after some attempts locks it out."""
    remedy = "let its A or AAAA record point to this server, or leave app_domain empty for plain HTTP"
    for name in asked_names(settings):
        answer = survey.get("resolved", {}).get(name, {})
        addresses = [address for address in map(_address, answer.get("addresses", [])) if address]
        if not addresses:
            found = f"`{name}` has no DNS: {answer.get('error') or 'no address'}"
            yield Problem("app_domain", found, remedy)
        elif all(address.is_loopback for address in addresses):
            # A server often knows its own name from /etc/hosts.
            found = f"`{name}` is {addresses[0]} in the eyes of the server, which says nothing about DNS"
            yield Problem("app_domain", found, f"take it out of its /etc/hosts; {remedy}")


def proxy(settings: Settings) -> Iterator[Problem]:
    """The values that reach the proxy's configuration."""
    if not managed(settings):
        return
    address = str(settings.get("app_stack_proxy_address") or "")
    if address and _address(address) is None:
        remedy = "set an address of the server, or leave it empty for every one"
        yield Problem("app_stack_proxy_address", f"`{address}` is not an IP address", remedy)
    for path in _texts(settings.get("app_stack_proxy_refused_paths")):
        if not re.fullmatch(r"/[^\s\"{}]*", path):
            remedy = "write a path that begins with /, such as /admin/*"
            yield Problem("app_stack_proxy_refused_paths", f"`{path}`", remedy)
    networks = _texts(settings.get("app_stack_proxy_trusted_networks"))
    for network in networks:
        if _network(network) is None:
            remedy = "write addresses as 10.0.0.0/8 or 10.1.2.3"
            yield Problem("app_stack_proxy_trusted_networks", f"`{network}`", remedy)
    limit = settings.get("app_stack_proxy_body_limit", "100M")
    if memory_bytes(limit) is None:
        remedy = "write a whole number with K, M or G, such as 100M"
        yield Problem("app_stack_proxy_body_limit", f"`{limit}`", remedy)
    # Empty is every address, which is the default only with a domain.
    listening = _address(address)
    public = not listening.is_loopback if listening else "app_stack_proxy_address" in settings
    if truth(settings.get("preflight_production")) and public and not tls_domain(settings) and not networks:
        yield Problem(
            "app_stack_proxy_address",
            f"`{address}` takes the public's requests without TLS",
            "set app_domain, or name the load balancers that end TLS in app_stack_proxy_trusted_networks",
        )


def network(settings: Settings, survey: Survey) -> Iterator[Problem]:
    """Compose would find out after the deploy has begun."""
    name = str(settings.get("app_stack_proxy_network") or "")
    if name and not managed(settings) and name not in survey.get("networks", []):
        remedy = f"start your proxy first, or make it on the server with `docker network create {name}`"
        yield Problem("app_stack_proxy_network", f"the server has no Docker network `{name}`", remedy)


def resting_on_others(settings: Settings) -> Iterator[Problem]:
    """What Soundcheck no longer answers for when another proxy stands before the backend."""
    if not managed(settings):
        yield Problem(
            "proxy",
            "external: TLS, the refusal of /metrics and the admin, health checks, retries of connections that"
            " were never accepted, draining and the maintenance page rest on your own proxy",
            "docs/production.md says what it has to do for a deploy that drops no request",
        )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _texts(value: object) -> list[str]:
    """The entries of a list; what is no list is the business of the argument specs."""
    return [str(entry) for entry in value] if isinstance(value, list) else []


CHECKS = (domain, proxy)
HOST_CHECKS = (resolution, network)
