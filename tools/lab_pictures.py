"""Take the documentation's pictures of the lab's page: `python tools/lab_pictures.py DB FOLDER`.

Each view in light and dark, as ``docs/images/lab/<view>-<theme>.png``, and a few on a phone. The
database should be of a real campaign: ``onetrip lab demo --db DB --until-done`` makes one.
"""

import argparse
import shutil
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from onetrip.lab.store.database import connect
from onetrip.lab.web.serve import Address, serving

VIEWS = {
    "now": "/",
    "queue": "/queue",
    "experiments": "/experiments",
    "experiment": "/experiments/{champion}",
    "compare": "/compare?ids={pair}",
    "problems": "/problems",
    "problem": "/problems/{problem}",
    "hypotheses": "/hypotheses",
    "hypothesis": "/hypotheses/{hypothesis}",
    "learnings": "/learnings",
    "graph": "/graph",
    "results": "/results?problem={problem}",
    "log": "/log",
}
ON_A_PHONE = ("experiments", "experiment", "results")
# Views that are read by scrolling are shown so far down.
DESKTOP, TALL, PHONE = (1280, 800), (1280, 1400), (390, 844)
LONG = ("experiment", "problem", "results", "compare")


def places(database: Path) -> dict[str, str]:
    """What the views show: the newest champion, its problem, a decided hypothesis."""
    with closing(connect(database)) as connection:
        champion = connection.execute(
            "SELECT experiment_id, problem_id FROM champion ORDER BY until IS NOT NULL, id DESC"
        ).fetchone()
        if champion is None:
            raise SystemExit(f"{database} has no champion yet: nothing to take pictures of")
        hypothesis = connection.execute(
            "SELECT id FROM hypothesis ORDER BY status NOT IN ('supported', 'refuted'), id DESC"
        ).fetchone()
        other = connection.execute(
            "SELECT experiment.id FROM experiment JOIN candidate ON candidate.id = candidate_id"
            " WHERE state = 'done' AND problem_id = ? AND experiment.id <> ?"
            " ORDER BY experiment.id LIMIT 1",
            (champion["problem_id"], champion["experiment_id"]),
        ).fetchone()
    return {
        "champion": str(champion["experiment_id"]),
        "problem": str(champion["problem_id"]),
        "hypothesis": str(hypothesis["id"]) if hypothesis else "1",
        "pair": f"{other['id'] if other else 1},{champion['experiment_id']}",
    }


def take(browser: Browser, address: Address, where: dict[str, str], folder: Path) -> None:
    """Write all pictures."""
    for theme in ("light", "dark"):
        for name, path in VIEWS.items():
            size = TALL if name in LONG else DESKTOP
            _picture(
                browser, address, path.format(**where), size, theme, folder / f"{name}-{theme}"
            )
    for name in ON_A_PHONE:
        path = VIEWS[name].format(**where)
        _picture(browser, address, path, PHONE, "light", folder / f"{name}-phone")


def _picture(
    browser: Browser,
    address: Address,
    path: str,
    size: tuple[int, int],
    theme: str,
    target: Path,
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(address.with_token)
    page.goto(address.url + path)
    page.wait_for_selector('#chip[data-state="live"]')
    # What comes after the page, such as the importance of parameters and live series.
    page.wait_for_timeout(1500)
    page.screenshot(path=target.with_suffix(".png"))
    context.close()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images/lab"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("needs the system's Chromium on the path")
    with serving(asked.database) as address, sync_playwright() as playwright:
        # Root may not use the browser's sandbox; it visits nothing but this page.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take(browser, address, places(asked.database), asked.folder)
        browser.close()


if __name__ == "__main__":
    main()
