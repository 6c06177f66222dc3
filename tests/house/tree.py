"""Where things lie in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "onetrip"


def python_files(*folders: str) -> list[Path]:
    """Python files below `folders` of the checkout, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def markdown_files() -> list[Path]:
    """Pages of the checkout: the root's, the documentation's, the operators'."""
    patterns = ("*.md", "docs/**/*.md", "src/**/*.md", "examples/**/*.md")
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def name_of(path: Path) -> str:
    """Path inside the checkout, for test ids and messages."""
    return path.relative_to(ROOT).as_posix()
