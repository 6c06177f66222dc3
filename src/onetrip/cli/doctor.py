"""`onetrip doctor`: what this machine has, what it lacks, and how fast it is."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from onetrip.core.units import bytes_text, rate_text, three_digits

if TYPE_CHECKING:
    from onetrip.bench.diagnosis import Diagnosis, FoundDevice
    from onetrip.lab.sandbox.level import Level


def register(app: typer.Typer) -> None:
    """Add `doctor` to the application."""
    app.command("doctor")(_doctor)


def _doctor(
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure each device's ceilings (seconds) and keep them for estimates.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at this machine: devices, versions, ceilings, extras, folders, Triton, sandbox."""
    from onetrip.bench.diagnosis import diagnose
    from onetrip.lab.sandbox.level import level

    if measure:
        _measure()
    found = diagnose()
    if as_json:
        typer.echo(json.dumps(_as_dict(found) | {"sandbox": asdict(level())}, indent=1))
    else:
        _print(found, level())


def _measure() -> None:
    from onetrip.cli import screen
    from onetrip.core.errors import require

    torch = require("torch", extra="dev", purpose="Measuring a device")
    from onetrip.bench.roofline import measure_ceilings, save_ceilings
    from onetrip.tile.problem import problem_on

    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    with screen.working() as say:
        for name in names:
            say(f"measuring {name}")
            ceilings = measure_ceilings(name)
            save_ceilings(ceilings, problem_on(name, {}, "float32").device_name)


def _as_dict(found: "Diagnosis") -> dict[str, object]:
    devices = [
        {
            "device": device.torch_device,
            "driver_name": device.driver_name,
            "memory_bytes": device.memory_bytes,
            "ceilings": None if device.ceilings is None else device.ceilings.as_dict(),
            "ceilings_from": device.ceilings_from,
        }
        for device in found.devices
    ]
    extras = [{**asdict(extra), "command": extra.command} for extra in found.extras]
    return {
        "versions": found.versions,
        "platform": found.platform,
        "devices": devices,
        "extras": extras,
        "kernel": asdict(found.kernel),
        "folders": found.folders,
        "environment": found.environment,
    }


def _print(found: "Diagnosis", sandbox: "Level") -> None:
    from onetrip.cli import screen

    console = screen.console()
    facts = screen.notes_table()
    facts.add_row(
        "[bold]versions[/]",
        ", ".join(
            f"{name} {version or '[red]missing[/]'}" for name, version in found.versions.items()
        ),
    )
    facts.add_row("[bold]platform[/]", found.platform)
    mark = "[green]✓[/]" if found.kernel.works else "[red]✗[/]"
    facts.add_row("[bold]triton[/]", f"{mark} {screen.plain(found.kernel.what)}")
    facts.add_row("[bold]sandbox[/]", _sandbox(sandbox))
    for name, where in found.folders.items():
        facts.add_row(f"[bold]{name}[/]", screen.plain(where))
    for extra in found.extras:
        state = "[green]✓[/]"
        if extra.missing:
            state = f"[yellow]lacks {', '.join(extra.missing)}[/]: {screen.plain(extra.command)}"
        facts.add_row("[bold]extra[/]", f"{extra.name} {state}")
    console.print(facts)
    if not found.devices:
        console.print("[bold]devices[/]   unknown without torch: pip install torch")
        return
    dtypes = list(
        dict.fromkeys(
            dtype
            for device in found.devices
            if device.ceilings is not None
            for dtype in device.ceilings.tflops
        )
    )
    table = screen.table(
        "device", ">memory", ">GB/s", *(f">{dtype}" for dtype in dtypes), "~ceilings"
    )
    for device in found.devices:
        table.add_row(*_cells(device, dtypes))
    console.print()
    console.print(table)
    if dtypes:
        console.print("[dim]Matrix rates in TFLOP/s. GB/s: bytes read and written by a copy.[/]")


def _sandbox(sandbox: "Level") -> str:
    from onetrip.cli import screen

    mark = "[yellow]![/]" if sandbox.lacks else "[green]✓[/]"
    lines = [f"{mark} {sandbox.name}"]
    if sandbox.lacks:
        lines.append(f"a candidate is not kept from this: {'; '.join(sandbox.lacks)}")
    lines += [f"stronger walls are not to be had: {why}" for why in sandbox.why_not_stronger]
    return "\n".join((lines[0], *map(screen.plain, lines[1:])))


def _cells(device: "FoundDevice", dtypes: list[str]) -> list[str]:
    ceilings = device.ceilings
    name = device.torch_device
    if device.driver_name != name:
        name = f"{name} {device.driver_name}"
    tflops = {} if ceilings is None else ceilings.tflops
    rates = [
        rate_text(tflops[dtype]).removesuffix(" TFLOP/s") if dtype in tflops else "–"
        for dtype in dtypes
    ]
    bandwidth = "–" if ceilings is None else three_digits(ceilings.bandwidth_gbps)
    return [name, bytes_text(device.memory_bytes), bandwidth, *rates, device.ceilings_from]
