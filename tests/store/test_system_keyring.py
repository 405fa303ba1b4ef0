"""The system's keyring: only one that encrypts, never unlocked by a program alone, and GNOME's own for real."""

from __future__ import annotations

import keyring
import pytest
from keyring.backends import SecretService, chainer, fail, null
from keyring.errors import KeyringError, PasswordSetError

from keyctl.errors import StoreError
from keyctl.store import system_keyring
from tests import keyrings

USER = "00000000000000b1"
SECRET = "5e" * 32


@pytest.fixture
def gnome(monkeypatch):
    with keyrings.of_gnome(monkeypatch) as backend:
        yield backend


def chain(monkeypatch, *backends):
    """A keyring that tries these one after the other."""
    monkeypatch.setattr(chainer.ChainerBackend, "backends", list(backends))
    return chainer.ChainerBackend()


def refusal(call, *arguments, **options):
    with pytest.raises(StoreError) as caught:
        call(*arguments, **options)
    assert caught.value.code == "keyring_unusable"
    assert "unattended on" in caught.value.hint
    return caught.value.message


def test_what_is_kept_is_there_until_it_is_deleted(vault):
    system_keyring.require(unlocking=False)
    assert system_keyring.read(USER) is None
    system_keyring.write(USER, SECRET, unlocking=False)
    assert vault.kept == {("keyctl unattended", USER): SECRET}
    assert system_keyring.read(USER) == SECRET
    for _ in range(2):
        system_keyring.delete(USER, unlocking=False)
        assert vault.kept == {}


@pytest.mark.parametrize("unlocking", [False, True])
@pytest.mark.parametrize(
    ("backend", "told"),
    [
        (null.Keyring, "there is no keyring of the system here"),
        (fail.Keyring, "there is no keyring of the system here"),
        (keyrings.Plain, "the keyring tests.keyrings.Plain is not known to encrypt what it keeps"),
    ],
)
def test_a_keyring_that_does_not_encrypt_is_refused(backend, told, unlocking):
    with keyrings.chosen(backend()):
        assert refusal(system_keyring.require, unlocking=unlocking) == told
        assert refusal(system_keyring.read, USER) == told
        assert refusal(system_keyring.write, USER, SECRET, unlocking=unlocking) == told
        assert refusal(system_keyring.delete, USER, unlocking=unlocking) == told


def test_of_several_the_first_is_used_if_all_encrypt(monkeypatch):
    first, second = keyrings.Vault(), keyrings.Vault()
    with keyrings.chosen(chain(monkeypatch, first, second)):
        system_keyring.write(USER, SECRET, unlocking=False)
    assert (len(first.kept), len(second.kept)) == (1, 0)


@pytest.mark.parametrize("backends", [(keyrings.Vault(), keyrings.Plain()), (keyrings.Plain(), keyrings.Vault()), ()])
def test_several_of_which_one_does_not_encrypt_are_refused(monkeypatch, backends):
    with keyrings.chosen(chain(monkeypatch, *backends)):
        assert "is not known to encrypt what it keeps" in refusal(system_keyring.require, unlocking=False)
    assert all(backend.kept == {} for backend in backends if isinstance(backend, keyrings.Vault))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("nowhere.to.be.Found", "No module named 'nowhere'"),
        ("keyring.backends.null.Found", "has no attribute 'Found'"),
        ("keyring.backends.macOS.Keyring", "macOS required"),
        ("", "Empty module name"),
    ],
)
def test_settings_that_name_no_keyring_are_no_traceback(monkeypatch, settings, told):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", settings)
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    assert told in refusal(system_keyring.require, unlocking=False)


@pytest.mark.parametrize("failure", [KeyringError("gone"), PasswordSetError("gone"), OSError("gone")])
def test_a_failure_of_the_keyring_is_told_without_the_secret(vault, failure):
    class Failing(keyrings.Vault):
        def set_password(self, *_arguments):
            raise failure

    with keyrings.chosen(Failing()):
        assert refusal(system_keyring.write, USER, SECRET, unlocking=False).endswith("cannot be used: gone")
    assert vault.kept == {}


def test_the_keyring_of_gnome_keeps_it(gnome):
    assert gnome.priority == 5
    system_keyring.require(unlocking=False)
    system_keyring.write(USER, SECRET, unlocking=False)
    assert system_keyring.read(USER) == SECRET
    system_keyring.delete(USER, unlocking=False)
    assert system_keyring.read(USER) is None


def test_a_locked_keyring_is_left_locked(gnome):
    """Its own code would ask for the password; here nobody is asked, or the prompter that is missing would fail."""
    system_keyring.write(USER, SECRET, unlocking=False)
    keyrings.lock()
    for call in (
        lambda: system_keyring.read(USER),
        lambda: system_keyring.require(unlocking=False),
        lambda: system_keyring.write(USER, SECRET, unlocking=False),
        lambda: system_keyring.delete(USER, unlocking=False),
    ):
        assert refusal(call) == "the system's keyring is locked"
    assert system_keyring._secret_service_is_locked(gnome)


def test_a_keyring_without_a_collection_counts_as_locked(gnome):
    """The library would make one, and ask for a password for it."""
    gnome.preferred_collection = "/org/freedesktop/secrets/collection/missing"
    assert refusal(system_keyring.require, unlocking=False) == "the system's keyring is locked"


@pytest.mark.parametrize("address", [None, "", "unix:path=/nonexistent/bus"])
def test_a_bus_that_is_gone_is_told(monkeypatch, address):
    if address is None:
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    with keyrings.chosen(SecretService.Keyring()):
        assert refusal(system_keyring.read, USER).startswith("the system's keyring cannot be used: ")
