"""The bundles that the watch kept on this host: the newest, as many as are wanted."""

from __future__ import annotations

from pathlib import Path

# What watch.py calls them; other files of the folder are on their way to a name.
PATTERN = "[0-9]*.json"


def newest(folder: Path, most: int, most_bytes: int) -> tuple[list[dict[str, str]], int]:
    """Name and content of at most so many, no larger than so much together, and how many are left there.

    One that the watch removes meanwhile is simply gone.
    """
    names = sorted((path.name for path in folder.glob(PATTERN)), reverse=True)
    taken: list[dict[str, str]] = []
    room = most_bytes
    for name in names[:most]:
        try:
            content = (folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue
        room -= len(content.encode())
        if room < 0:
            break
        taken.append({"name": name, "content": content})
    return taken, len(names) - len(taken)
