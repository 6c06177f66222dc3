"""A fleet of its own process: Ray leaves threads, sockets and warnings behind. Run by its test."""

import sys
from pathlib import Path

from onetrip.lab.store.database import connect
from onetrip.lab.work.ray_fleet import work_on_ray


def main(database: Path) -> None:
    """Work until nothing waits or runs."""
    connection = connect(database)

    def settled() -> bool:
        return (
            connection.execute(
                "SELECT 1 FROM experiment WHERE state IN ('queued', 'running')"
            ).fetchone()
            is None
        )

    answered = work_on_ray(database, device="cpu", parallel=2, until=settled)
    connection.close()
    print(f"answered {answered}")


main(Path(sys.argv[1]))
