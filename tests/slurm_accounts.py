"""Accounts for a test's Slurm: mariadb and slurmdbd of its own, so that `sacct` answers. Debian's packages, root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from loopback import free_ports
from mini_slurm import no_controller

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr")
_CONF = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""
_STORAGE = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
_RIGHTS = """\
create database slurm_acct_db;
create user slurm@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to slurm@'127.0.0.1';
create user slurm@localhost identified by 'slurm'; grant all on slurm_acct_db.* to slurm@localhost;
"""


def require_accounts() -> None:
    """Skip the test where there is no slurmdbd and no database for it."""
    missing = [each for each in PROGRAMS if shutil.which(each) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here (Debian: slurmdbd mariadb-server-core mariadb-client-core)")


@contextlib.contextmanager
def accounts(environment: Mapping[str, str]) -> Iterator[None]:
    """Keep accounts for a Slurm that runs; end what was started afterwards."""
    require_accounts()
    conf = Path(environment["SLURM_CONF"])
    folder = conf.parent
    port, database_port = free_ports(2)
    daemons: list[subprocess.Popen[bytes]] = []
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    variables = {**os.environ, **environment}
    try:
        data = folder / "mysql"
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        argv = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", *options]
        subprocess.run(argv, check=True, timeout=240, **silent)
        socket = folder / "mysql.sock"
        argv = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={socket}"]
        argv += [f"--port={database_port}", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=2"]
        daemons.append(subprocess.Popen(argv, **silent))
        client = ["mariadb", "--no-defaults", "--user=root", f"--socket={socket}"]
        _until(lambda: subprocess.run([*client, "-e", "select 1"], **silent).returncode == 0)
        subprocess.run(client, input=_RIGHTS, text=True, check=True)
        own = folder / "slurmdbd.conf"
        own.touch(mode=0o600)
        own.write_text(_CONF.format(folder=folder, port=port, database_port=database_port))
        daemons.append(subprocess.Popen(["slurmdbd", "-D"], env=variables, **silent))
        add = ["sacctmgr", "-i", "add", "cluster", "mimctltest"]
        storage = _STORAGE.format(folder=folder, port=port)
        with no_controller(environment):  # it starts only where the accounts answer
            conf.write_text(conf.read_text().replace("AccountingStorageType=accounting_storage/none\n", storage))
            _until(lambda: _registers(add, variables))
        yield
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _registers(argv: list[str], environment: Mapping[str, str]) -> bool:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode == 0 or "already exists" in done.stdout + done.stderr


def _until(is_done: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if is_done():
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)
