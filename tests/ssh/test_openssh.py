"""Real ssh, sshd, ssh-keygen and git, and the backup key behind the agent."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from .conftest import HOST, LABEL


@pytest.mark.parametrize("host", ["ed25519", "rsa", "ecdsa"], indirect=True)
def test_sshd_lets_in_the_key_that_was_derived_while_the_backup_was_away(desk, host):
    done = desk.agent(command=[*host.ssh(), "echo", "logged", "in"])
    assert done.stdout == "logged in\n"
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", host.folder / "host.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert "ssh (process " in done.stderr
    assert f"at the host whose key is {fingerprint}, with the key for {HOST} of blue/green" in done.stderr


def test_the_plain_method_of_older_servers_is_signed_too(desk, host):
    ssh = host.ssh("-o", "PubkeyAuthentication=unbound")
    assert desk.agent(command=[*ssh, "echo", "logged", "in"]).stdout == "logged in\n"


def test_after_a_restore_the_host_is_named_or_found_in_its_authorized_keys(desk, host):
    for name in ("keys", "pairings", "state"):
        shutil.rmtree(desk.home / name, ignore_errors=True)
    desk.run("pair", "restore", "-k", "virtual:green", *desk.pins)
    assert desk.agent(command=["true"], status=9).stdout == ""
    for options in (("--for", HOST), ("--authorized-keys", host.authorized_keys)):
        assert desk.agent(*options, command=[*host.ssh(), "echo", "in"]).stdout == "in\n"


def test_without_the_backup_key_nobody_logs_in(desk, host):
    desk.run("virtual", "unplug", "green")
    done = desk.agent(command=[*host.ssh(), "true"], status=255)
    assert "refused ssh (process " in done.stderr
    assert "green is not connected" in done.stderr
    assert "Permission denied (publickey)" in done.stderr


def test_a_refused_touch_is_no_log_in(desk, host):
    desk.run("virtual", "set", "green", "touch=refused")
    done = desk.agent(command=[*host.ssh(), "true"], status=255)
    assert "refused ssh (process " in done.stderr
    assert "Permission denied (publickey)" in done.stderr


def test_a_key_for_signing_does_not_log_in_even_where_it_is_installed(desk, host):
    host.authorized_keys.write_text(desk.public_key(LABEL).read_text())
    done = desk.agent(command=[*host.ssh(), "true"], status=255)
    assert "a key for sign: signs messages in the format of ssh-keygen -Y only" in done.stderr


def test_a_forwarded_agent_gives_nothing_unless_it_may(desk, host):
    # There and on to the same host again, from which the agent is asked.
    further = " ".join(host.ssh())
    for command in ("ssh-add -L", f"{further} true"):
        done = desk.agent(command=[*host.ssh("-A"), command], status=None)
        assert done.returncode != 0
        assert "it comes from another computer, and --allow-forwarded was not given" in done.stderr
        assert "ecdsa-sha2-nistp256 " not in done.stdout
    assert desk.agent("--allow-forwarded", command=[*host.ssh("-A"), "ssh-add -L"]).stdout.count(HOST) == 1
    assert desk.agent("--allow-forwarded", command=[*host.ssh("-A"), f"{further} echo in"]).stdout == "in\n"


@pytest.mark.parametrize("target", [HOST, LABEL])
def test_ssh_keygen_signs_by_the_agent_and_accepts_what_it_signed(desk, target):
    public = desk.public_key(target)
    message = desk.folder / "message"
    message.write_text("hello\n")
    desk.agent(command=["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", public, message])
    assert verifies(desk, public, message)
    message.write_text("other\n")
    assert not verifies(desk, public, message)


def test_ssh_keygen_accepts_what_recover_sign_signed(desk):
    public = desk.public_key(LABEL)
    message = desk.folder / "message"
    message.write_bytes(bytes(3_000_000))
    output = desk.folder / "message.sig"
    desk.run("recover", "sign", "--for", LABEL, "--sshsig", "file", "--output", output, message, *desk.pins)
    assert verifies(desk, public, message)


def verifies(desk, public, message) -> bool:
    signers = desk.folder / "signers"
    signers.write_text(f"kim {public.read_text()}")
    check = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "kim", "-n", "file", "-s", f"{message}.sig"]
    return subprocess.run(check, input=message.read_bytes(), capture_output=True, check=False).returncode == 0


def test_git_signs_a_commit_by_the_agent_and_verifies_it(desk):
    public = desk.public_key(LABEL)
    signers = desk.folder / "signers"
    signers.write_text(f"kim@example.com {public.read_text()}")
    repository = desk.folder / "repository"
    settings = {
        "user.name": "Kim",
        "user.email": "kim@example.com",
        "gpg.format": "ssh",
        "user.signingkey": public,
        "gpg.ssh.allowedSignersFile": signers,
    }
    git = ["git", "-C", repository, *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))]
    subprocess.run(["git", "init", "-q", repository], env=desk.environment, check=True)
    done = desk.agent(command=[*git, "commit", "-q", "-S", "--allow-empty", "-m", "signed"])
    assert "in the namespace git, with the key for sign:release of blue/green" in done.stderr
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "plain"], env=desk.environment, check=True)

    def verified(commit: str) -> subprocess.CompletedProcess[str]:
        check = [*git, "verify-commit", commit]
        return subprocess.run(check, env=desk.environment, capture_output=True, text=True, check=False)

    assert 'Good "git" signature for kim@example.com' in verified("HEAD~").stderr
    assert (verified("HEAD~").returncode, verified("HEAD").returncode) == (0, 1)


def test_a_pin_that_is_kept_serves_several_log_ins(desk, host):
    counted = desk.folder / "counted"
    command = desk.folder / "pin-command"
    command.write_text(f"#!/bin/sh\necho >> {counted}\ncat {desk.folder / 'pin'}\n")
    command.chmod(0o700)
    ssh = " ".join(host.ssh())
    script = f"{ssh} echo one && {ssh} echo two"
    options = ["recover", "ssh-agent", "--pin-command", str(command), "--", "sh", "-c", script]
    assert desk.run(*options[:2], "--keep-pin", "5", *options[2:]).stdout == "one\ntwo\n"
    assert counted.read_text() == "\n"
    assert desk.run(*options).stdout == "one\ntwo\n"
    assert counted.read_text() == "\n\n\n"
