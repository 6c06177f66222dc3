"""Keep the generated parts of the documentation equal to what they are generated from.

A page marks such a part with two comments; what stands between them is written by the function
of that name in `generators`, called with the words that follow the name::

    <!-- generated:operator linear_cross_entropy -->
    <!-- /generated -->

Run with ``--check`` to list what is stale, with ``--write`` (`make docs`) to write it again.
"""

import argparse
import difflib
import re
import sys
from pathlib import Path

from generators import GENERATORS
from onetrip.core.errors import OnetripError
from onetrip.data.registry import known
from onetrip.data.step import Step

ROOT = Path(__file__).resolve().parent.parent

OPEN = re.compile(r"<!-- generated:(?P<words>[^>]+?) -->")
REGION = re.compile(OPEN.pattern + r"\n(?P<body>.*?)<!-- /generated -->", re.DOTALL)


class DocsError(Exception):
    """A page asks for something that cannot be generated."""


def pages(root: Path) -> list[Path]:
    """Markdown pages that may hold generated parts."""
    patterns = ("*.md", "docs/**/*.md", "src/**/*.md", "results/**/*.md", "examples/**/*.md")
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def operator_pages(root: Path) -> dict[Path, str]:
    """The page that every operator has, as it begins: a title and one generated part."""
    operators = sorted(path.parent.name for path in root.glob("src/onetrip/ops/*/spec.py"))
    return {
        root / "docs" / "ops" / f"{operator}.md": (
            f"# {operator}\n\n<!-- generated:operator {operator} -->\n<!-- /generated -->\n"
        )
        for operator in operators
    }


def step_pages(root: Path) -> dict[Path, str]:
    """The page that every step of a recipe has, as it begins."""
    return {
        root / "docs" / "data" / "steps" / f"{name}.md": (
            f"# {name}\n\n<!-- generated:step {name} -->\n<!-- /generated -->\n"
        )
        for name in known(Step)
    }


def regenerated(text: str, page: str) -> str:
    """`text` with every generated part written again.

    Raises
    ------
    DocsError
        A part names no generator, or is never closed.
    """
    if len(OPEN.findall(text)) != len(REGION.findall(text)):
        raise DocsError(f"{page}: a generated part is not closed with <!-- /generated -->")

    def write(region: re.Match[str]) -> str:
        name, *arguments = region["words"].split()
        if name not in GENERATORS:
            raise DocsError(f"{page}: no generator {name!r}, there are {sorted(GENERATORS)}")
        body = GENERATORS[name](*arguments).strip()
        return f"<!-- generated:{region['words']} -->\n\n{body}\n\n<!-- /generated -->"

    return REGION.sub(write, text)


def stale(root: Path) -> dict[Path, tuple[str, str]]:
    """Pages whose generated parts are not current: what stands there, what should."""
    own = {**operator_pages(root), **step_pages(root)}
    texts = {page: "" for page in own}
    texts |= {page: page.read_text(encoding="utf-8") for page in pages(root)}
    found = {}
    for page, text in texts.items():
        wanted = regenerated(text or own[page], page.relative_to(root).as_posix())
        if wanted != text:
            found[page] = (text, wanted)
    return found


def main() -> int:
    """Check or write; exit 1 when something is stale, with what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="list what is stale")
    mode.add_argument("--write", action="store_true", help="write it again")
    write = parser.parse_args().write
    try:
        outdated = stale(ROOT)
    except (DocsError, OnetripError) as error:
        print(f"check_docs: {error}", file=sys.stderr)
        return 1
    for page, (text, wanted) in outdated.items():
        name = page.relative_to(ROOT).as_posix()
        if write:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(wanted, encoding="utf-8")
            print(f"wrote {name}")
        else:
            lines = difflib.unified_diff(
                text.splitlines(), wanted.splitlines(), name, "generated", lineterm="", n=0
            )
            print("\n".join(list(lines)[:20]))
    if outdated and not write:
        print("Generated documentation is stale. Write it again with: make docs")
    return 1 if outdated and not write else 0


if __name__ == "__main__":
    sys.exit(main())
