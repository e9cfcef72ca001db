"""Memory in bytes, and the broker's watermark from it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.memory_size import memory_size, rabbitmq_watermark


@pytest.mark.parametrize(
    ("text", "size"), [("1K", 1024), ("512M", 536_870_912), ("300M", 314_572_800), ("2G", 2_147_483_648)]
)
def test_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert memory_size(text) == size


@pytest.mark.parametrize(
    "text", ["512", "512X", "", "M", "0M", "1.5G", "512m", "512 M", "512MB", "-1M", "512M\n"]
)
def test_size_that_compose_would_misread_is_refused_with_the_variable(text: str) -> None:
    with pytest.raises(
        AnsibleFilterError, match="app_stack_rabbitmq_memory: expected a whole number with K, M or G"
    ):
        memory_size(text, "app_stack_rabbitmq_memory")


def test_watermark_is_a_part_of_the_containers_limit() -> None:
    """G1.8: 300M; the broker itself would take a part of the host's memory."""
    assert rabbitmq_watermark("300M", 0.6) == 188_743_680


@pytest.mark.parametrize("fraction", [0, -0.1, 0.91, 60])
def test_fraction_that_blocks_or_never_blocks_publishers_is_refused(fraction: float) -> None:
    with pytest.raises(AnsibleFilterError, match="rabbitmq_prometheus_memory_fraction: expected more than 0"):
        rabbitmq_watermark("300M", fraction)
