"""What a page and a JSON document say of the diagnoses of all hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError

# Panels of the catalogue that show a symptom, the most telling first.
SYMPTOM_PANELS: Mapping[str, Sequence[str]] = {
    "cpu": (
        *("host-cpu", "host-load", "container-cpu", "container-throttled"),
        *("celery-duration", "celery-running", "celery-queues"),
    ),
    "memory": ("host-memory", "container-memory", "container-mem-limit", "celery-running"),
    "connections": ("db-connections", "db-churn", "django-latency", "django-requests"),
}
TITLES: Mapping[str, Mapping[str, str]] = {
    "cpu": {"en": "CPU and tasks", "ko": "CPU와 작업"},
    "memory": {"en": "Memory", "ko": "메모리"},
    "connections": {"en": "Connections and requests", "ko": "연결과 요청"},
}
# States in which a host told nothing of itself.
UNABLE = ("unable", "missing", "unreachable")
# From the worst to the best, as they are listed.
_STATES = (*UNABLE, "findings", "incomplete", "clean")
_CONFIDENCES = ("high", "medium", "low")

Result = Mapping[str, Any]


def symptom_entries(
    entries: Mapping[str, Any], symptom: str = "", locale: str = "en", place: int = 0
) -> dict[str, Any]:
    """The catalogue's entries with one dashboard for each symptom, that which was noticed first.

    A panel stands once. `place`: of the host among those of the report, for names that no other host has.
    """
    panels = {panel["id"]: panel for board in entries["dashboards"] for panel in board["panels"]}
    boards = []
    for name in sorted(SYMPTOM_PANELS, key=lambda name: name != symptom):
        taken = [panels.pop(identifier) for identifier in SYMPTOM_PANELS[name] if identifier in panels]
        placed = [
            {**panel, "number": number, "place": {"x": 0, "y": number, "w": 24, "h": 1}}
            for number, panel in enumerate(taken, 1)
        ]
        board = {"name": f"{place}-{name}", "title": TITLES[name][locale], "description": ""}
        boards.append({**board, "panels": placed})
    return {"dashboards": boards, "alerts": []}


def diagnosis_marks(result: Result) -> list[dict[str, Any]]:
    """When the host was deployed to, and when its watch kept a bundle: lines in the charts."""
    facts = _facts(result)
    now = _seconds(facts.get("taken_at"))
    deploys = [
        {"kind": "deploy", "at": now - deploy["seconds_ago"]}
        for deploy in facts.get("deploys") or []
        if now is not None and deploy.get("seconds_ago") is not None
    ]
    bundles = [{"kind": "bundle", "at": _seconds(kept["taken_at"])} for kept in result.get("bundles", [])]
    return [mark for mark in [*deploys, *bundles] if mark["at"] is not None]


def marked(
    dashboards: Sequence[Mapping[str, Any]], marks: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The views of `panel_views`, each with the marks that lie in its time."""
    return [
        {
            **board,
            "panels": [
                {**panel, "marks": [mark for mark in marks if panel["start"] <= mark["at"] <= panel["end"]]}
                for panel in board["panels"]
            ],
        }
        for board in dashboards
    ]


def diagnosis_view(
    result: Result,
    host: str,
    environment: str,
    dashboards: Sequence[Mapping[str, Any]] = (),
    problem: str = "",
) -> dict[str, Any]:
    """One host of the report. `result`: of the module diagnosis, or its end. `problem`: of the charts."""
    state, reason = _state(result)
    silence = _silence(dashboards)
    return {
        "host": host,
        "environment": environment,
        "state": state,
        "problem": reason,
        "document": dict(result.get("document") or {}),
        "findings": list(result.get("findings", [])),
        "text": result.get("text", ""),
        "bundles": list(result.get("bundles", [])),
        "bundles_left": result.get("bundles_left", 0),
        "silent": list(_silent(_facts(result))),
        "figures": _figures(_facts(result)),
        "dashboards": [] if silence else [_drawn(board) for board in dashboards if board["panels"]],
        "charts_problem": problem or silence,
    }


def _silence(dashboards: Sequence[Mapping[str, Any]]) -> str:
    """The one reason for which every chart is empty, as when the backend is down: said once, not in each."""
    reasons = {panel["empty"] for board in dashboards for panel in board["panels"]}
    return str(reasons.pop()) if len(reasons) == 1 else ""


def _state(result: Result) -> tuple[str, str]:
    if result.get("unreachable"):
        return "unreachable", _sentence(result)
    if result.get("failed") or "state" not in result:
        return "unable", _sentence(result)
    return str(result["state"]), str(result["problem"])


def _sentence(result: Result) -> str:
    """What Ansible says of a task that ended badly, on one line."""
    return " ".join(str(result.get("msg") or "it was not asked").split())


def _facts(result: Result) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = (result.get("document") or {}).get("facts") or {}
    return facts


def _silent(facts: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, section in (facts.get("sections") or {}).items():
        if section.get("state") != "ok":
            yield {"section": name, "state": section.get("state", ""), "problem": section.get("problem", "")}


def _figures(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Three numbers of a host for a table of all; None where they are unknown."""
    server = facts.get("server") or {}
    memory, database = server.get("memory") or {}, facts.get("database") or {}
    total, available = memory.get("total"), memory.get("available")
    counts = [group.get("count") for group in database.get("connections") or []]
    known = [count for count in counts if count is not None]
    return {
        "cpu": server.get("busy_percent"),
        "memory": None if not total or available is None else 100 * (total - available) / total,
        "connections": sum(known) if known else None,
        "connections_at_most": database.get("max_connections"),
    }


def _drawn(board: Mapping[str, Any]) -> dict[str, Any]:
    """Without the values: they are in the charts."""
    panels = [
        {**panel, "series": [{**entry, "values": []} for entry in panel["series"]]}
        for panel in board["panels"]
    ]
    return {**board, "panels": panels}


def _seconds(moment: str | None) -> float | None:
    """An ISO time as the tool writes it, in seconds since 1970."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).timestamp() if moment else None
    except ValueError:
        return None


# --- all hosts ---------------------------------------------------------------------------------------


def diagnosis_order(views: Sequence[Result]) -> list[Result]:
    """Those that could not be asked first, then by what was found."""
    return sorted(views, key=lambda view: (_STATES.index(view["state"]), _first(view), view["host"]))


def _first(view: Result) -> int:
    return min((_CONFIDENCES.index(finding["confidence"]) for finding in view["findings"]), default=9)


def diagnosis_json(views: Sequence[Result], finished: str, symptom: str) -> str:
    """Facts and findings of all hosts as one document."""
    hosts = [
        {
            **{key: view[key] for key in ("host", "environment", "state", "problem")},
            "facts": view["document"].get("facts"),
            "findings": view["document"].get("findings", []),
            "bundles": view["bundles"],
        }
        for view in views
    ]
    document = {"schema": 1, "finished": finished, "symptom": symptom, "hosts": hosts}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def diagnosis_failure(view: Result) -> str:
    """Why a host counts as failed; empty for one that told of itself."""
    if view["state"] not in UNABLE:
        return ""
    remedy = "; deploy first: deploy_telemetry.yml installs it" if view["state"] == "missing" else ""
    return f"{view['host']} could not be diagnosed: {view['problem']}{remedy}"


# --- words -------------------------------------------------------------------------------------------

# English to Korean: the page names what it means.
_KOREAN: Mapping[str, str] = {
    "Diagnosis": "진단",
    "Host": "호스트",
    "Result": "결과",
    "Confidence": "확신도",
    "CPU": "CPU",
    "Memory": "메모리",
    "Connections": "DB 연결",
    "unknown": "알 수 없음",
    "nothing found": "이상 없음",
    "nothing found, but not everything could be asked": "이상 없음, 일부 항목은 확인하지 못함",
    "unable": "진단 불가",
    "not installed": "설치되지 않음",
    "unreachable": "접속 불가",
    "deploy first": "먼저 배포하세요",
    "high": "높음",
    "medium": "중간",
    "low": "낮음",
    "Remedy": "조치",
    "Variable": "변수",
    "in the app": "앱에서",
    "Not answered": "응답하지 않은 항목",
    "partial": "일부",
    "Charts from": "차트 기간",
    "times are UTC": "시각은 UTC",
    "Dotted line: deploy": "점선: 배포",
    "Dashed red line: diagnosis kept by the watch": "빨간 파선: 감시가 보관한 진단",
    "The charts are missing": "차트가 없습니다",
    "Kept by the watch": "감시가 보관한 진단",
    "Time": "시각",
    "Why": "이유",
    "First finding": "첫 번째 원인",
    "none": "없음",
    "more on the host": "개가 호스트에 더 있음",
    "The whole report": "전체 보고서",
    "by Soundcheck": "Soundcheck",
    "symptom": "증상",
    "Hosts": "호스트 목록",
}


def diagnosis_words(locale: str) -> dict[str, str]:
    """The page's words in a language, by the English ones."""
    if locale not in ("en", "ko"):
        raise AnsibleFilterError(f"locale: {locale!r} is unknown, one of en, ko was expected")
    return {english: korean if locale == "ko" else english for english, korean in _KOREAN.items()}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {
            "symptom_entries": symptom_entries,
            "diagnosis_marks": diagnosis_marks,
            "marked": marked,
            "diagnosis_view": diagnosis_view,
            "diagnosis_order": diagnosis_order,
            "diagnosis_json": diagnosis_json,
            "diagnosis_failure": diagnosis_failure,
            "diagnosis_words": diagnosis_words,
        }
