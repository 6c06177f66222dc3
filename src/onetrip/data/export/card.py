"""The card of an exported dataset: what Hugging Face reads first, and a person after it."""

import json
from collections.abc import Mapping
from typing import Any

from onetrip.core.errors import require

_OPEN = {
    "parquet": """```python
import datasets, onetrip.data

rows = datasets.load_dataset("parquet", data_files={files})
batches = onetrip.data.stream("data", batch_size=256, split="train")
```""",
    "fasta": "One `.fasta` for each split; a record is named `unit|row`.",
}


def dataset_card(stats: Mapping[str, Any], *, format: str, title: str, license: str) -> str:
    """Write the card from what `stats.json` holds.

    Every number is one of `stats`; nothing is counted here.
    """
    yaml = require("yaml", extra="data", purpose="Writing a dataset card")
    head: dict[str, Any] = {"license": license} if license else {}
    head["pretty_name"] = title or "Dataset made by onetrip"
    if format == "parquet":
        files = [{"split": s, "path": f"data/{s}-*.parquet"} for s in stats["rows"]]
        head["configs"] = [{"config_name": "default", "data_files": files}]
    patterns = json.dumps({split: f"data/{split}-*.parquet" for split in stats["rows"]})
    total = sum(stats["rows"].values())
    sections = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
        f"# {head['pretty_name']}",
        f"{total:,} rows, {len(stats['files'])} files. All counts as JSON: `stats.json`.",
        _OPEN[format].replace("{files}", patterns),
        "## Splits",
        _table(("split", "rows"), [(s, f"{n:,}") for s, n in stats["rows"].items()]),
        "## Steps",
        "Rows in = rows out + rejected + dropped, for every step.",
        _table(
            ("step", "rows in", "rows out", "rejected", "dropped"),
            [_step_row(name, account) for name, account in stats["steps"].items()],
        ),
        *_counted(stats["steps"]),
        *_quarantine(stats["quarantine"]),
        "## Columns",
        _table(("column", "type"), [(f"`{n}`", kind) for n, kind in stats["columns"].items()]),
        "## Recipe",
        f"```yaml\n{yaml.safe_dump(stats['recipe'], sort_keys=False)}```",
        "## Versions",
        _table(("what", "version"), sorted(stats["versions"].items())),
    ]
    return "\n\n".join(sections) + "\n"


def _step_row(name: str, account: Mapping[str, Any]) -> tuple[str, ...]:
    dropped = ", ".join(f"{rule} {count:,}" for rule, count in account["dropped"].items())
    numbers = (f"{account[key]:,}" for key in ("rows_in", "rows_out", "rejected"))
    return (f"`{name}`", *numbers, dropped or "0")


def _counted(steps: Mapping[str, Any]) -> list[str]:
    rows = [
        (f"`{step}`", what, f"{count:,}")
        for step, account in steps.items()
        for what, count in account["counts"].items()
    ]
    return ["## Also counted", _table(("step", "what", "count"), rows)] if rows else []


def _quarantine(rejects: Mapping[str, int]) -> list[str]:
    rows = [(code, f"{count:,}") for code, count in rejects.items()]
    return ["## Quarantine", _table(("code", "count"), rows)] if rows else []


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
