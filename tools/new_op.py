"""Write the folder of a new operator: a toy that passes every check, to be made into yours.

    python tools/new_op.py rms_norm

It copies `tools/operator_template` under the new name, with its test, and writes the line in the
table of public names, the line in the changelog and the page in `docs/ops`.
"""

import argparse
import keyword
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "tools" / "operator_template"
TEMPLATE_NAME = "scaled_relu"


class NameTakenError(Exception):
    """The name cannot be an operator's."""


def check_name(name: str) -> None:
    """Refuse a name that is no snake_case identifier, or that means something already."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise NameTakenError(f"{name!r} is not a snake_case name, like rms_norm")
    if (ROOT / "src" / "onetrip" / name).exists() or f'"{name}":' in public_table().read_text():
        raise NameTakenError(f"onetrip.{name} exists already")
    if (ROOT / "src" / "onetrip" / "ops" / name).exists():
        raise NameTakenError(f"src/onetrip/ops/{name} exists already")


def public_table() -> Path:
    """The file that maps public names to modules."""
    return ROOT / "src" / "onetrip" / "__init__.py"


def renamed(text: str, name: str) -> str:
    """The template's text, with the operator's name in all its spellings."""
    camel = "".join(word.capitalize() for word in name.split("_"))
    return text.replace(TEMPLATE_NAME, name).replace("ScaledRelu", camel)


def write_folder(name: str) -> list[Path]:
    """Copy the template: the operator's folder, and its test."""
    folder = ROOT / "src" / "onetrip" / "ops" / name
    tests = ROOT / "tests" / "ops"
    written = []
    for source in sorted(path for path in TEMPLATE.iterdir() if path.is_file()):
        target = (tests if source.name.startswith("test_") else folder) / renamed(source.name, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(renamed(source.read_text("utf-8"), name), "utf-8")
        written.append(target)
    return written


def add_public_name(text: str, name: str) -> str:
    """Add the operator to the import for type checkers and to the table, both kept sorted."""
    module = f"onetrip.ops.{name}.api"
    text = _add_sorted(
        text, r"^    from onetrip\S* import .*\n", f"    from {module} import {name} as {name}\n"
    )
    return _add_sorted(text, r'^    "\w+": "onetrip\..*",\n', f'    "{name}": "{module}",\n')


def add_changelog_line(text: str, name: str) -> str:
    """Add a line at the end of what is unreleased and added."""
    head, heading, rest = text.partition("### Added\n")
    added, following, tail = rest.partition("\n### ")
    return f"{head}{heading}{added.rstrip()}\n- Operator `{name}`.\n{following}{tail}"


def _add_sorted(text: str, pattern: str, line: str) -> str:
    lines = re.findall(pattern, text, re.MULTILINE)
    block = "".join(lines)
    if not lines or block not in text:
        raise NameTakenError(f"no block of lines like {line.strip()!r} in {public_table().name}")
    return text.replace(block, "".join(sorted([*lines, line])))


def main() -> int:
    """Write everything, then let the tools of the house finish it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "name", help="in snake_case: torch's, else scikit-learn's, else the paper's"
    )
    name = parser.parse_args().name
    try:
        check_name(name)
        edits = {
            path: edit(path.read_text("utf-8"), name)
            for path, edit in (
                (public_table(), add_public_name),
                (ROOT / "CHANGELOG.md", add_changelog_line),
            )
        }
    except NameTakenError as error:
        print(f"new_op: {error}", file=sys.stderr)
        return 2
    written = write_folder(name)
    for path, text in edits.items():
        path.write_text(text, "utf-8")
    sources = [str(path) for path in written if path.suffix == ".py"]
    # A longer name wraps lines that the template's did not.
    for command in (
        ["-m", "ruff", "format", "--quiet", *sources],
        [str(ROOT / "tools" / "check_docs.py"), "--write"],
    ):
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    for path in (*written, *edits):
        print(path.relative_to(ROOT))
    print(f'Now: make test ARGS="-k {name}", and the 7 steps of CONTRIBUTING.md')
    return 0


if __name__ == "__main__":
    sys.exit(main())
