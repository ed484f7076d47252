"""Files that the configuration names: beside it, or among those that ship."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from recorderd.config.words import shown
from recorderd.errors import ClipError

DATA = Path(str(files("recorderd"))) / "data"
CLIPS = DATA / "announcements"
EXAMPLE = DATA / "recorderd.example.toml"


def find(name: str, folder: Path, shipped: Path) -> Path | None:
    """The file `name`, a path that starts at `folder`, or a bare name in the folder `shipped`."""
    candidates = [folder / name]
    if "/" not in name:
        candidates.append(shipped / name)
    return next((path for path in candidates if _is_file(path)), None)


def clip_exists(name: str, folder: Path) -> None:
    """Raise ClipError where there is no clip `name`; what is in it is not looked at."""
    if find(name, folder, CLIPS) is None:
        ships = ", ".join(sorted(path.name for path in CLIPS.glob("*.wav")))
        raise ClipError(
            f"there is no file {shown(name)} that can be read in {folder}, and none that ships "
            f"has this name; these ship: {ships}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False
