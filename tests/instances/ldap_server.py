"""A real OpenLDAP server on loopback, started once in a test process and ended by its own process id."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.instances.products import certificate
from tests.postgresql import until_the_end

SLAPD = shutil.which("slapd", path=f"/usr/sbin:/usr/libexec:{os.environ.get('PATH', '')}")
SUFFIX = "dc=example,dc=org"
ADMIN, ADMINS_PASSWORD = f"cn=admin,{SUFFIX}", "the admin's own password"
READER = f"cn=reader,ou=services,{SUFFIX}"
"""May read a little, and write nothing; its password is the service's."""
SERVICE, SERVICES_PASSWORD = f"cn=tempadmin,ou=services,{SUFFIX}", "pQ7-vL2x of the service"
START_SECONDS = 20

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
TLSCertificateFile {folder}/localhost.pem
TLSCertificateKeyFile {folder}/localhost.pem
pidfile {folder}/slapd.pid
sizelimit size.soft=60 size.hard=60 size.prtotal=unlimited
database mdb
suffix "{suffix}"
directory {folder}/data
maxsize 67108864
dbnosync
limits dn.exact="{reader}" size.soft=5 size.hard=5 size.prtotal=5
rootdn "{admin}"
rootpw "{password}"
overlay ppolicy
ppolicy_default cn=policy,ou=services,{suffix}
access to attrs=userPassword by dn.exact="{service}" write by anonymous auth by self write by * none
access to dn.regex="^(.+,)?(ou=place-[0-9]+,{suffix})$"
  by dn.exact="{service}" write by group.expand="cn=admins,$2" write by users read
access to * by users read
attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
index objectClass eq
index uid,cn,description eq,sub
"""


class Server:
    """A running slapd; what a test sees and does in it, it does as its manager."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.safe_port, self.port = folder, _free_port(), _free_port()
        _, self.certificate = certificate(folder, "localhost")
        self._numbers = count(1)
        (folder / "data").mkdir()
        self._process = self._start()
        self._wait()
        manager = self.as_manager()
        manager.add_s(SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"Example"])])
        manager.add_s(f"ou=services,{SUFFIX}", [("objectClass", [b"organizationalUnit"])])
        account = [("objectClass", [b"applicationProcess", b"simpleSecurityObject"])]
        for dn in (SERVICE, READER):
            manager.add_s(dn, [*account, ("userPassword", [SERVICES_PASSWORD.encode()])])
        policy = [("objectClass", [b"device", b"pwdPolicy"]), ("pwdAttribute", [b"userPassword"])]
        policy += [("pwdLockout", [b"TRUE"]), ("pwdCheckQuality", [b"1"]), ("pwdMinLength", [b"8"])]
        manager.add_s(f"cn=policy,ou=services,{SUFFIX}", policy)
        manager.unbind_s()

    @property
    def url(self) -> str:
        return f"ldaps://localhost:{self.safe_port}"

    def new_place(self) -> str:
        """Make an empty place for accounts, with a group of administrators beside it; return its name."""
        place = f"ou=place-{next(self._numbers)},{SUFFIX}"
        with closing_ldap(self.as_manager()) as manager:
            manager.add_s(place, [("objectClass", [b"organizationalUnit"])])
            group = [("objectClass", [b"groupOfNames"]), ("member", [ADMIN.encode()])]
            manager.add_s(f"cn=admins,{place}", group)
        return place

    def settings(self, place: str, **changes: Any) -> dict[str, Any]:
        """What an instance tells of the directory in a place."""
        return {
            "url": self.url,
            "ca_file": self.certificate,
            "bind_dn": SERVICE,
            "bind_password": SERVICES_PASSWORD,
            "base_dn": place,
            "group_dn": f"cn=admins,{place}",
            **changes,
        }

    def as_manager(self) -> Any:
        """A connection that may do everything."""
        return self.signed_in(ADMIN, ADMINS_PASSWORD)

    def signed_in(self, dn: str, password: str) -> Any:
        """A connection of one's own, in clear on loopback; raises what the library raises."""
        import ldap

        connection = ldap.initialize(f"ldap://127.0.0.1:{self.port}")
        connection.simple_bind_s(dn, password)
        return connection

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)

    def start(self) -> None:
        """Start it again, at the same addresses, with what it had."""
        self._process = self._start()
        self._wait()

    def _start(self) -> subprocess.Popen[bytes]:
        names = {"suffix": SUFFIX, "admin": ADMIN, "service": SERVICE, "reader": READER}
        text = CONFIG.format(folder=self.folder, password=ADMINS_PASSWORD, **names)
        (self.folder / "slapd.conf").write_text(text)
        where = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.safe_port}"
        command = [str(SLAPD), "-f", str(self.folder / "slapd.conf"), "-h", where, "-d", "0"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _wait(self) -> None:
        import ldap

        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.as_manager().unbind_s()
            except ldap.SERVER_DOWN:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.kill()
                    raise RuntimeError((self.folder / "log").read_text()) from None
                threading.Event().wait(0.02)  # between two tries
            else:
                return


def need_ldap() -> None:
    """Fail where there is no LDAP in CI; leave the test out elsewhere."""
    missing = "slapd" if SLAPD is None else "python-ldap" if find_spec("ldap") is None else None
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing} is not installed")
        pytest.skip(f"{missing} is not installed")


@cache
def server() -> Server:
    """Return this test process's server; it ends with the process."""
    need_ldap()
    folder = Path(tempfile.mkdtemp(prefix="tempadmin-ldap-"))
    until_the_end.callback(shutil.rmtree, folder, ignore_errors=True)
    started = Server(folder)
    until_the_end.callback(started.stop)
    return started


def binds(where: Server, dn: str, password: str) -> bool:
    """Tell whether somebody signs in as this with that, as a product does."""
    import ldap

    try:
        where.signed_in(dn, password).unbind_s()
    except (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH, ldap.UNWILLING_TO_PERFORM):
        return False
    return True


@contextmanager
def closing_ldap(connection: Any) -> Iterator[Any]:
    """Unbind in the end."""
    try:
        yield connection
    finally:
        connection.unbind_s()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
