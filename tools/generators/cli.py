"""The reference of the command line, from the commands themselves."""

import inspect
from typing import Any

import typer.main

from generators.markdown import table
from onetrip.cli.main import app


def commands() -> str:
    """A section for every command: what it does, its arguments, its options."""
    return "\n\n".join(
        _section(name, command)
        for name, command in command_table().items()
        if not getattr(command, "hidden", False)
    )


def command_table() -> dict[str, Any]:
    """Every command by its name, a group before its own: "lab", "lab serve"."""
    return _below(typer.main.get_command(app), "")


def _below(group: Any, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in getattr(group, "commands", {}).items():
        found[prefix + name] = command
        found |= _below(command, f"{prefix}{name} ")
    return found


def _section(name: str, command: Any) -> str:
    arguments, options = [], []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        row = arguments if parameter.param_type_name == "argument" else options
        row.append(_row(parameter))
    usage = " ".join(f"[{label}]" if free else label for label, _, free in arguments)
    if getattr(command, "commands", None):
        usage = "COMMAND"
    words = " ".join(word for word in (f"onetrip {name}", usage, "[OPTIONS]") if word)
    parts = [
        f"## `onetrip {name}`",
        inspect.cleandoc(command.help or ""),
        f"```\n{words}\n```",
    ]
    if arguments:
        parts.append(table(["argument", "what"], ((f"`{a}`", what) for a, what, _ in arguments)))
    if options:
        parts.append(table(["option", "what"], ((f"`{o}`", what) for o, what, _ in options)))
    return "\n\n".join(parts)


def _row(parameter: Any) -> tuple[str, str, bool]:
    """Label, description, and whether it may be left out."""
    what = parameter.help or ""
    if _is_worth_showing(parameter.default):
        what += f" Default: `{parameter.default}`."
    if parameter.param_type_name == "argument":
        return parameter.metavar or parameter.name.upper(), what, not parameter.required
    return " / ".join([*parameter.opts, *parameter.secondary_opts]), what, not parameter.required


def _is_worth_showing(default: object) -> bool:
    return default is not None and not callable(default) and default not in (False, "", (), [])
