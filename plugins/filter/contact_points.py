"""Contact points and their policy for Grafana and for Alertmanager, from one definition.

Both services read Go's templates with the same names for alerts, labels and annotations, so that a message is
written once. What differs (fields of a receiver, link back, room for text) stands in the function of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

SEVERITIES = ("critical", "warning")
NOWHERE = "soundcheck-nowhere"
# Alerts with this label are tests: they reach every contact point at once, whatever its severities.
TEST_LABEL = "soundcheck_test"

NEEDED = {"email": "addresses", "telegram": "chat_id"}
SECRET_FILES = {
    "email": "smtp-password",
    "slack": "slack-webhook-url",
    "discord": "discord-webhook-url",
    "telegram": "telegram-bot-token",
}

# Characters to which each part of one alert's text is cut; the rest of the sum are words, times and the link.
LENGTHS = {"summary": 160, "description": 280, "runbook": 400, "severity": 16, "host": 48, "environment": 32}
ALERT_LENGTH = 1240
# Characters that a service takes in the field of the alerts' text. Of Discord, Alertmanager uses an embed's
# description and Grafana the content. Slack and mail would take more than anybody reads.
ROOM = {"email": 25000, "slack": 8000, "telegram": 4096}
DISCORD_ROOM = {"alertmanager": 4096, "grafana": 2000}
# Slack reads these three as markup.
SLACK_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))
# Where a message leads to: Alertmanager's own page, or the panel, dashboard or rule that Grafana knows.
LINKS = {
    "alertmanager": "{{ $.ExternalURL }}/#/alerts",
    "grafana": "{{ or $alert.PanelURL $alert.DashboardURL $alert.GeneratorURL }}",
}

Points = Mapping[str, Mapping[str, Any] | None]
Words = Mapping[str, str]


def contact_points_grafana(points: Points, secrets: Mapping[str, str], words: Words) -> list[dict[str, Any]]:
    """Contact points as POST /api/v1/provisioning/contact-points takes them, one for each kind."""
    found = []
    for kind, point in _known(points).items():
        title, body = _title(words), _body(kind, "grafana", words)
        settings: dict[str, Any]
        if kind == "email":
            settings = {"addresses": ";".join(point["addresses"]), "singleEmail": True}
            settings |= {"subject": title, "message": body}
        elif kind == "slack":
            settings = {"url": secrets[kind], "username": "Soundcheck", "title": title, "text": body}
        elif kind == "discord":
            settings = {"url": secrets[kind], "use_discord_username": True, "title": title, "message": body}
        else:
            # No parse mode: Telegram refuses markup that it cannot read, and an alert would be lost.
            settings = {"bottoken": secrets[kind], "chatid": str(point["chat_id"]), "parse_mode": "None"}
            settings |= {"disable_web_page_preview": True, "message": f"{title}\n\n{body}"}
        found.append(
            {
                "uid": _name(kind),
                "name": _name(kind),
                "type": kind,
                "settings": settings,
                "disableResolveMessage": not point["resolved"],
            }
        )
    return found


def contact_points_policy(points: Points, timing: Mapping[str, Any]) -> dict[str, Any]:
    """The tree for PUT /api/v1/provisioning/policies; empty without contact points.

    There is a route for each contact point and severity, and each goes on to the next: one contact point that
    fails keeps no other from its message. Which alerts come here, of whatever environment, is the folder's.
    """
    known = _known(points)
    if not known:
        return {}
    return {
        "receiver": _name(next(iter(known))),
        **_timing(timing, "warning"),
        "routes": [
            {
                "receiver": _name(kind),
                "object_matchers": [["severity", "=", severity]],
                "repeat_interval": timing["repeat_interval"][severity],
                "continue": True,
            }
            for severity in SEVERITIES
            for kind in known
            if severity in known[kind]["severities"]
        ],
    }


def contact_points_alertmanager(
    points: Points, timing: Mapping[str, Any], words: Words, secrets_directory: str
) -> dict[str, Any]:
    """alertmanager.yml, for 0.28 and later. It holds no secret: each is read from `secrets_directory`.

    Only the alerts of this project come here, so that whatever is not critical counts as a warning.
    """
    known = _known(points)
    matchers = {"critical": 'severity="critical"', "warning": 'severity!="critical"'}
    routes: list[dict[str, Any]] = [
        {
            "receiver": _name(kind),
            "matchers": [matchers[severity]],
            "repeat_interval": timing["repeat_interval"][severity],
            "continue": True,
        }
        for severity in SEVERITIES
        for kind in known
        if severity in known[kind]["severities"]
    ]
    tests = {
        "matchers": [f'{TEST_LABEL}!=""'],
        "group_by": [TEST_LABEL],
        "group_wait": "1s",
        # Also the time after which a delivery is given up.
        "group_interval": "10s",
        "routes": [{"receiver": _name(kind), "continue": True} for kind in known],
    }
    return {
        "route": {
            "receiver": NOWHERE,
            **_timing(timing, "warning"),
            "routes": [tests, *routes] if known else [],
        },
        "receivers": [
            {"name": NOWHERE},
            *(_receiver(kind, known[kind], words, secrets_directory) for kind in known),
        ],
    }


def contact_points_files(
    points: Points,
    secrets: Mapping[str, str],
    directory: str,
    user: int,
    service: str,
) -> list[dict[str, Any]]:
    """The files that the configuration of Alertmanager reads secrets from, for its container alone."""
    known = _known(points)
    used = [kind for kind in known if kind != "email" or (known[kind].get("smtp") or {}).get("username")]
    return [
        {
            "path": f"{directory}/{SECRET_FILES[kind]}",
            "content": secrets[kind],
            "mode": "0400",
            "owner": int(user),
            "group": int(user),
            "services": [service],
            "secret": True,
        }
        for kind in used
    ]


def _receiver(kind: str, point: Mapping[str, Any], words: Words, secrets: str) -> dict[str, Any]:
    title, body, secret = _title(words), _body(kind, "alertmanager", words), f"{secrets}/{SECRET_FILES[kind]}"
    config: dict[str, Any] = {"send_resolved": point["resolved"]}
    if kind == "email":
        smtp = point.get("smtp") or {}
        if not {"host", "from"} <= set(smtp):
            raise AnsibleFilterError(
                "contact_points.email.smtp: host and from of a mail server were expected"
            )
        config |= {"to": ", ".join(point["addresses"]), "from": smtp["from"]}
        config |= {"smarthost": f"{smtp['host']}:{smtp.get('port', 587)}"}
        config |= {"require_tls": bool(smtp.get("tls", True)) and int(smtp.get("port", 587)) != 465}
        if smtp.get("username"):
            config |= {"auth_username": smtp["username"], "auth_password_file": secret}
        config |= {"headers": {"Subject": title}, "html": "", "text": body}
    elif kind == "slack":
        config |= {"api_url_file": secret, "username": "Soundcheck"}
        config |= {"title": title, "title_link": "{{ .ExternalURL }}", "fallback": title, "text": body}
    elif kind == "discord":
        config |= {"webhook_url_file": secret, "title": title, "message": body}
    else:
        config |= {"bot_token_file": secret, "chat_id": int(point["chat_id"])}
        if point.get("api_url"):
            config["api_url"] = point["api_url"]
        # As for Grafana: text without markup is never refused for it.
        config |= {"parse_mode": "", "message": f"{title}\n\n{body}"}
    return {"name": _name(kind), f"{kind}_configs": [config]}


def _known(points: Points) -> dict[str, dict[str, Any]]:
    """Each point with its defaults, in a fixed order; `slack:` alone is a contact point too."""
    unknown = set(points) - set(SECRET_FILES)
    if unknown:
        raise AnsibleFilterError(
            f"contact_points.{sorted(unknown)[0]}: one of {', '.join(SECRET_FILES)} was expected"
        )
    for kind, key in NEEDED.items():
        if kind in points and (points[kind] or {}).get(key) is None:
            raise AnsibleFilterError(f"contact_points.{kind}: {key} was expected")
    defaults = {"resolved": True, "severities": list(SEVERITIES)}
    given = {kind: points[kind] or {} for kind in SECRET_FILES if kind in points}
    return {
        kind: defaults | {key: value for key, value in point.items() if value is not None}
        for kind, point in given.items()
    }


def _name(kind: str) -> str:
    return f"soundcheck-{kind}"


def _timing(timing: Mapping[str, Any], severity: str) -> dict[str, Any]:
    return {
        "group_by": list(timing["group_by"]),
        "group_wait": timing["group_wait"],
        "group_interval": timing["group_interval"],
        "repeat_interval": timing["repeat_interval"][severity],
    }


def _title(words: Words) -> str:
    """One line for subject, title or beginning."""
    return (
        _by_status("", f"[{words['firing']}:{{{{ len .Alerts.Firing }}}}]", f"[{words['resolved']}]")
        + '{{ with .CommonLabels.alertname }} {{ printf "%.80s" . }}{{ end }}'
        + '{{ with .CommonLabels.severity }} ({{ printf "%.16s" . }}){{ end }}'
        + '{{ with .CommonLabels.host }} - {{ printf "%.48s" . }}{{ end }}'
        + '{{ with .CommonLabels.environment }} ({{ printf "%.32s" . }}){{ end }}'
    )


def _body(kind: str, service: str, words: Words) -> str:
    """The text of a group's alerts, as many as the channel has room for."""
    shown = (DISCORD_ROOM[service] if kind == "discord" else ROOM[kind]) // ALERT_LENGTH
    summary = _part("Annotations.summary", kind)
    lines = [
        _by_status("$alert", words["firing"], words["resolved"]) + f": {summary}",
        _part("Annotations.description", kind),
        f"{words['severity']}: {_part('Labels.severity', kind)}",
        f"{words['host']}: {_part('Labels.host', kind)} ({_part('Labels.environment', kind)})",
        f"{words['since']}: {_time('StartsAt')}"
        + _by_status("$alert", "", f"\n{words['until']}: {_time('EndsAt')}"),
        f"{words['runbook']}: {_part('Annotations.runbook', kind)}",
        f"{words['link']}: {LINKS[service]}",
    ]
    more = words["more"].format(total="{{ len .Alerts }}", shown=shown)
    return (
        f"{{{{ range $index, $alert := .Alerts }}}}{{{{ if lt $index {shown} }}}}"
        "{{ if $index }}\n\n{{ end }}" + "\n".join(lines) + "{{ end }}{{ end }}"
        f"{{{{ if gt (len .Alerts) {shown} }}}}\n\n{more}{{{{ end }}}}"
    )


def _by_status(subject: str, firing: str, resolved: str) -> str:
    return f'{{{{ if eq {subject}.Status "firing" }}}}{firing}{{{{ else }}}}{resolved}{{{{ end }}}}'


def _time(field: str) -> str:
    return f'{{{{ $alert.{field}.UTC.Format "2006-01-02 15:04:05 UTC" }}}}'


def _part(path: str, kind: str) -> str:
    """A label or annotation of one alert: cut to its length, and for Slack with its markup made harmless."""
    cut = f'printf "%.{LENGTHS[path.split(".")[1]]}s" $alert.{path}'
    if kind == "slack":
        cut += "".join(f' | reReplaceAll "{plain}" "{escaped}"' for plain, escaped in SLACK_ESCAPES)
    return f"{{{{ {cut} }}}}"


class FilterModule:
    """Filters of the role contact_points."""

    def filters(self) -> dict[str, Any]:
        return {
            "contact_points_grafana": contact_points_grafana,
            "contact_points_policy": contact_points_policy,
            "contact_points_alertmanager": contact_points_alertmanager,
            "contact_points_files": contact_points_files,
        }
