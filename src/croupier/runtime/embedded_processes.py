"""Which processes belong to an embedded server, read from /proc and from PostgreSQL's own postmaster.pid.

The cluster name in the process titles tells them apart: titles are readable for everybody, while the working
directory of another account's process needs ptrace rights, which root in a container usually lacks.
"""

import os
import signal
from pathlib import Path

from croupier.runtime.embedded_cluster import Cluster, EmbeddedServerError


def server_processes(cluster: Cluster) -> list[int]:
    """Ids of the living processes of this folder's server, found by the cluster name in their titles."""
    return [pid for pid in _process_ids() if _is_postgres(pid) and cluster.marker in _process_title(pid)]


def _process_ids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _process_title(pid: int) -> str:
    """The command line; empty for a process that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    except OSError:
        return False


def process_mark(pid: int) -> str:
    """Process id and start time (clock ticks since boot): process ids are used again, this pair is not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{pid} {fields[19]}"


def read_postmaster_file(cluster: Cluster) -> tuple[int, int] | None:
    """Process id and port from postmaster.pid; None while it is absent or still being written."""
    try:
        lines = (cluster.pgdata / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), int(lines[3])
    except (OSError, IndexError, ValueError):
        return None


def says_ready(cluster: Cluster) -> bool:
    """Whether the status line of postmaster.pid, its eighth, says so."""
    try:
        return (cluster.pgdata / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False


def remove_stale_postmaster_file(cluster: Cluster) -> None:
    """Remove what a killed server left: its id may be a zombie's or a stranger's now, which stops PostgreSQL.

    Safe because no process of this folder's server is alive (the caller looked). A server that somebody
    started by hand carries no cluster name of ours and is refused.
    """
    path = cluster.pgdata / "postmaster.pid"
    try:
        pid = int(path.read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return
    if _is_postgres(pid) and _process_title(pid):
        raise EmbeddedServerError(
            f"process {pid}, a PostgreSQL not started by Croupier, uses {cluster.pgdata}"
        )
    path.unlink(missing_ok=True)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that has ended meanwhile is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
