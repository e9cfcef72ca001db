"""Start celery-exporter, which ships its command without a launcher, with its options readable from CE_*."""

from __future__ import annotations

from src.cli import cli

if __name__ == "__main__":
    cli(auto_envvar_prefix="CE")
