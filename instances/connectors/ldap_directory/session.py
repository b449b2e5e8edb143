"""One session with an LDAP server: connected in TLS, signed in, and each operation's error in words.

The library gets a socket of ours, and an address that leads nowhere: whatever it may ever do by itself, it cannot
connect again, and send in clear what it has to say.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import ldap
from ldap.controls import RequestControl
from ldap.controls.libldap import AssertionControl, SimplePagedResultsControl
from ldap.ldapobject import SimpleLDAPObject

from instances.connectors import wording
from instances.connectors.base import ConnectorError
from instances.connectors.http import trusting
from instances.connectors.ldap_directory import refusals
from instances.connectors.ldap_directory.settings import Changes, LdapSettings
from instances.connectors.ldap_directory.tunnel import Tunnel, start_tls
from instances.connectors.wire import Allowance, TooMuch, connected

NOWHERE = "ldapi://%2Fdev%2Fnull"
MOST_BYTES = 8 * 1024 * 1024
PAGE = 50
ITSELF, CHILDREN, ALL_BELOW = ldap.SCOPE_BASE, ldap.SCOPE_ONELEVEL, ldap.SCOPE_SUBTREE

Entry = tuple[str, Mapping[str, list[str]]]
"""A distinguished name, and attributes by lower-case name; what is no text in them is left out."""


class Session:
    """What we say to a server; made by ``signed_in``."""

    def __init__(self, library: SimpleLDAPObject, tunnel: Tunnel, settings: LdapSettings, timeout: timedelta) -> None:
        self._library, self._tunnel, self._settings, self._timeout = library, tunnel, settings, timeout
        self._secrets = [settings.bind_password.get_secret_value()]

    def sign_in(self) -> None:
        """Say who we are."""
        with self._tried(f"sign in as {self._settings.bind_dn}", setting="bind_password"):
            self._library.simple_bind_s(self._settings.bind_dn, self._settings.bind_password.get_secret_value())

    def search(
        self, base: str, wanted: str, attributes: Sequence[str], *, scope: int = ALL_BELOW, setting: str = "base_dn"
    ) -> Iterator[Entry]:
        """Yield all that is found, page by page, or raise; references to other servers are passed over.

        Parameters
        ----------
        wanted
            A filter whose values are escaped (``ldap.filter``).
        setting
            What is wrong when there is no such base.
        """
        page = SimplePagedResultsControl(criticality=False, size=PAGE, cookie="")
        while True:
            with self._tried(f"search {base}", setting=setting):
                asked = self._library.search_ext(base, scope, wanted, list(attributes), serverctrls=[page])
                _, found, _, controls = self._library.result3(asked)
                entries = [(dn, _texts(values)) for dn, values in found if dn is not None]
            yield from entries
            page.cookie = next((one.cookie for one in controls if one.controlType == page.controlType), "")
            if not page.cookie:
                return

    def add(self, dn: str, attributes: Changes) -> bool:
        """Make an entry; return whether it was not there before."""
        with self._tried(f"add {dn}", setting="entry"), suppress(ldap.ALREADY_EXISTS):
            self._library.add_ext_s(dn, [(name, _bytes(values)) for name, values in attributes.items()])
            return True
        return False

    def replace(self, dn: str, changes: Changes, *, only_if: str, setting: str) -> bool:
        """Change attributes of an entry that is as we saw it; return whether it is still there."""
        changing = [(ldap.MOD_REPLACE, name, _bytes(values) or None) for name, values in changes.items()]
        with self._tried(f"change {dn}", setting=setting), suppress(ldap.NO_SUCH_OBJECT):
            self._library.modify_ext_s(dn, changing, serverctrls=_only_if(only_if))
            return True
        return False

    def include(self, dn: str, attribute: str, value: str, *, setting: str) -> None:
        """Add a value to an attribute that may have it already."""
        with self._tried(f"add {value} to {dn}", setting=setting), suppress(ldap.TYPE_OR_VALUE_EXISTS):
            self._library.modify_ext_s(dn, [(ldap.MOD_ADD, attribute, [value.encode()])])

    def exclude(self, dn: str, attribute: str, value: str, *, setting: str) -> None:
        """Take a value out of an attribute that may not have it."""
        nothing = (ldap.NO_SUCH_ATTRIBUTE, ldap.NO_SUCH_OBJECT)
        with self._tried(f"take {value} out of {dn}", setting=setting), suppress(*nothing):
            self._library.modify_ext_s(dn, [(ldap.MOD_DELETE, attribute, [value.encode()])])

    def delete(self, dn: str, *, only_if: str) -> None:
        """Delete an entry that is as we saw it; one that is gone already is a success."""
        with self._tried(f"delete {dn}", setting="bind_dn"), suppress(ldap.NO_SUCH_OBJECT):
            self._library.delete_ext_s(dn, serverctrls=_only_if(only_if))

    def set_password(self, dn: str, secret: str) -> None:
        """Have the server set a password, and hash it as it likes (RFC 3062)."""
        with self._tried(f"set the password of {dn}", secrets=[secret]):
            self._library.passwd_s(dn, None, secret)

    @property
    def protection(self) -> str:
        """How the connection is protected, such as TLSv1.3."""
        return self._tunnel.protection

    @contextmanager
    def _tried(self, what: str, *, setting: str | None = None, secrets: Collection[str] = ()) -> Iterator[None]:
        tried = f"{wording.address(self._settings.url)}: {what}"
        try:
            yield
        except ldap.LDAPError as error:
            raise self._broken(tried) or refusals.explained(
                error, tried, setting=setting, secrets=[*self._secrets, *secrets]
            ) from None
        except (ValueError, IndexError) as error:
            raise ConnectorError(f"{tried}: what it answers is no LDAP ({type(error).__name__})") from None

    def _broken(self, tried: str) -> ConnectorError | None:
        why = self._tunnel.why
        if isinstance(why, TimeoutError):
            return ConnectorError(f"{tried}: no answer within {self._timeout.total_seconds():g} s")
        if isinstance(why, TooMuch):
            return ConnectorError(f"{tried}: the answer is longer than {MOST_BYTES // 1024**2} MiB")
        return None if why is None else wording.broken(tried, why, self._secrets)


@contextmanager
def signed_in(settings: LdapSettings, *, timeout: timedelta) -> Iterator[Session]:
    """Connect, make it safe, sign in; everything that is done in it together is over in time.

    Raises
    ------
    ConnectorError
        What was tried and what came back; permanent where a setting is wrong.
    """
    allowance = Allowance(lasts=timeout, most=MOST_BYTES)
    tunnel = Tunnel(_safe(settings, allowance, timeout), allowance)
    library = ldap.initialize(NOWHERE, fileno=tunnel.end)
    try:
        library.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)
        library.set_option(ldap.OPT_DEREF, ldap.DEREF_NEVER)
        library.protocol_version = ldap.VERSION3
        session = Session(library, tunnel, settings, timeout)
        session.sign_in()
        yield session
    finally:
        with suppress(ldap.LDAPError):
            library.unbind_ext_s()
        tunnel.close()


def _safe(settings: LdapSettings, allowance: Allowance, timeout: timedelta) -> ssl.SSLSocket:
    tried = f"{wording.address(settings.url)}: connect"
    try:
        context = trusting(settings.ca_file or None)
        sock = connected(settings.host, settings.port, allowance)
        try:
            if settings.starts_tls:
                start_tls(sock, allowance, tried)
            sock.settimeout(allowance.seconds_left())
            return context.wrap_socket(sock, server_hostname=settings.host)
        except BaseException:
            sock.close()
            raise
    except TimeoutError:
        raise ConnectorError(f"{tried}: no answer within {timeout.total_seconds():g} s") from None
    except OSError as error:
        raise wording.broken(tried, error, ()) from None


def _only_if(wanted: str) -> list[RequestControl]:
    """Have the server look once more itself (RFC 4528); one that does not know how goes by what we saw."""
    return [AssertionControl(criticality=False, filterstr=wanted)]


def _bytes(values: Sequence[str]) -> list[bytes]:
    return [value.encode() for value in values]


def _texts(values: Mapping[str, list[bytes]]) -> Mapping[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for name, contents in values.items():
        for content in contents:
            with suppress(UnicodeDecodeError):
                texts.setdefault(name.lower(), []).append(content.decode())
    return texts
