"""The text format as exporters write it (G7: samples, not HELP lines; T2: which values may never fall)."""

from __future__ import annotations

import math

import pytest

from plugins.module_utils.exposition import Exposition, ExpositionError, Sample, parse

PAGE = """\
# HELP django_http_requests_total_by_view_transport_method_total Count of requests by view.
# TYPE django_http_requests_total_by_view_transport_method_total counter
django_http_requests_total_by_view_transport_method_total{method="GET",transport="http",view="chart"} 12.0
django_http_requests_total_by_view_transport_method_total{method="GET",transport="http",view="play"} 3.0
# HELP django_http_exceptions_total_by_type_total Count of exceptions.
# TYPE django_http_exceptions_total_by_type_total counter
# TYPE django_http_latency_seconds histogram
django_http_latency_seconds_bucket{le="0.5",view="chart"} 10
django_http_latency_seconds_bucket{le="+Inf",view="chart"} 12
django_http_latency_seconds_count{view="chart"} 12
django_http_latency_seconds_sum{view="chart"} 3.25
# TYPE django_http_in_flight gauge
django_http_in_flight 2
"""


def test_g7_samples_are_told_from_help_lines() -> None:
    page = parse(PAGE)
    assert page.counts()["django_http_requests_total_by_view_transport_method_total"] == 2
    assert "django_http_exceptions_total_by_type_total" not in page.counts()
    assert "django_http_exceptions_total_by_type_total" in page.announced()


def test_t2_counters_and_histogram_parts_never_fall_and_gauges_may() -> None:
    names = {name for name, _labels in parse(PAGE).counters("django_http_")}
    assert names == {
        "django_http_requests_total_by_view_transport_method_total",
        "django_http_latency_seconds_bucket",
        "django_http_latency_seconds_count",
        "django_http_latency_seconds_sum",
    }


def test_t2_a_counter_family_announced_without_total_is_a_counter() -> None:
    assert parse("# TYPE a counter\na_total 1\n").counters("a") == {("a_total", ()): 1.0}


def test_t2_counters_outside_the_prefix_are_left_alone() -> None:
    assert parse("# TYPE b_total counter\nb_total 1\n").counters("a") == {}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up 1", Sample("up", (), 1.0)),
        ("up{} 1", Sample("up", (), 1.0)),
        ('up{a="1",} 1', Sample("up", (("a", "1"),), 1.0)),
        ('up{b="2", a="1"} 1e3', Sample("up", (("a", "1"), ("b", "2")), 1000.0)),
        ("up 1 1700000000000", Sample("up", (), 1.0)),
        ('up{a="}"} -4.5 -1', Sample("up", (("a", "}"),), -4.5)),
        ('up{a="x,y=\\"z\\"} 3"} 1', Sample("up", (("a", 'x,y="z"} 3'),), 1.0)),
        (r'up{a="C:\\new\n"} 1', Sample("up", (("a", "C:\\new\n"),), 1.0)),
        ('up{a=""} 1', Sample("up", (("a", ""),), 1.0)),
        ('up{a="작업"} 1', Sample("up", (("a", "작업"),), 1.0)),
        ('up{a="a\u2028b"} 1', Sample("up", (("a", "a\u2028b"),), 1.0)),
        ("up +Inf", Sample("up", (), math.inf)),
        ("job:x:rate5m 0.5", Sample("job:x:rate5m", (), 0.5)),
        ("up 1\r", Sample("up", (), 1.0)),
    ],
)
def test_reads_every_shape_of_a_sample(line: str, expected: Sample) -> None:
    assert parse(line + "\n").samples == [expected]


def test_nan_is_a_value() -> None:
    assert math.isnan(parse("up NaN").samples[0].value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html>\n<html>", "line 1 is not a sample: <!DOCTYPE html>"),
        ('{"status": "ok"}', 'line 1 is not a sample: {"status": "ok"}'),
        ("up1", "line 1 is not a sample: up1"),
        ("ok 1\nup x", "line 2 has the value 'x', which is no number"),
        ('up{a="1" 1', "line 1 is not a sample"),
        ("up{a=1} 1", "line 1 has unreadable labels: a=1"),
        ('up{a="1" b="2"} 1', "line 1 has unreadable labels"),
    ],
)
def test_refuses_what_is_not_the_format(text: str, message: str) -> None:
    with pytest.raises(ExpositionError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "# HELP\n", "#\n# TYPE x\n"])
def test_a_page_may_hold_no_sample(text: str) -> None:
    assert parse(text).samples == []


def test_a_label_that_is_missing_reads_as_empty() -> None:
    assert Sample("up", (("a", "1"),), 1.0).label("b") == ""


def test_an_empty_page_has_no_counters() -> None:
    assert Exposition().counters("") == {}
