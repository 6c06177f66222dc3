"""What stands in a Markdown page: code blocks, links, headings."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the words after the fence, its text, the line it starts at."""

    info: str
    body: str
    line: int


def blocks(page: str, language: str) -> list[Block]:
    """Fenced blocks whose first word is `language`."""
    return [
        Block(match["info"].strip(), match["body"], page[: match.start()].count("\n") + 1)
        for match in _BLOCK.finditer(page)
        if match["info"].split()[:1] == [language]
    ]


def broken_links(path: Path) -> list[str]:
    """Links to files that do not exist, and to headings that the page does not have."""
    page = _BLOCK.sub("", path.read_text("utf-8"))
    broken = []
    for match in _LINK.finditer(page):
        name, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", name):
            continue
        target = path.parent / name if name else path
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8"))
        ):
            broken.append(match["target"])
    return broken


def anchors(page: str) -> set[str]:
    """The anchors that the headings of a page make."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
