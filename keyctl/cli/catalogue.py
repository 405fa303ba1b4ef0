"""All commands by name and one line, so that ``--help`` and completion import none of them."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a command lives, and its line in the list; a test compares it with the command's own help."""

    module: str
    summary: str


CATALOGUE: dict[str, Entry] = {
    "status": Entry("status", "Show keys, pairings, accounts and what to do next."),
    "list": Entry("list", "Show every security key that is connected or known."),
    "info": Entry("info", "Show what a key is and can do, its PIN state and advisories."),
    "pin": Entry("pin", "Set, change or try the PIN of a key."),
    "passkeys": Entry("passkeys", "List, show, delete and rename the passkeys on a key."),
    "add": Entry("add", "Give the plugged-in key a name."),
    "edit": Entry("edit", "Change what is noted of a known key."),
    "forget": Entry("forget", "Remove a key from the inventory; the key itself stays as it is."),
    "scan": Entry("scan", "Read the plugged-in keys and note what they open."),
    "unattended": Entry("unattended", "Let checks read a key without its PIN."),
    "service": Entry("service", "Note what no key can tell: services, second factors, recovery methods."),
    "coverage": Entry("coverage", "Show which key opens which account, and what only one key opens."),
    "pair": Entry("pair", "Pair a primary key with a backup key, and keep the pairing in order."),
    "recover": Entry("recover", "Sign with the backup key, and make it the new primary."),
    "health": Entry("health", "Check keys, pairings and accounts, and tell what is wrong."),
    "lost": Entry("lost", "Mark a key as lost, and print what to do now."),
    "found": Entry("found", "Take back that a key is lost."),
    "sheet": Entry("sheet", "Print one page to keep with a key."),
    "inventory": Entry("inventory", "Export and import what is noted of keys and services."),
    "reset": Entry("reset", "Erase a key: all passkeys, registrations and the PIN."),
    "wink": Entry("wink", "Make a key blink, to see which one it is."),
    "doctor": Entry("doctor", "Find out why a key is not seen or cannot be reached."),
    "virtual": Entry("virtual", "Make and change software keys for trying things out."),
    "demo": Entry("demo", "Play the main jobs on virtual keys, without hardware."),
    "completion": Entry("completion", "Print the completion script for a shell."),
}

#: Those that ask for a PIN, or have commands that do.
ASKING_FOR_PIN = frozenset({"pin", "passkeys", "scan", "unattended", "pair", "recover"})

_NO_COPY = "no key can be copied, by design: `keyctl coverage --missing KEY` says what to register on KEY instead"
#: What people type who come new or from other tools -> what they may mean.
OTHER_WORDS: dict[str, str] = {
    "access": "a PIN is set and changed with `keyctl pin`",
    "backup": "`keyctl pair create PRIMARY BACKUP` makes a key the backup of another",
    "clone": _NO_COPY,
    "config": "`keyctl info` shows how a key is set, and `keyctl pin` changes its PIN",
    "copy": _NO_COPY,
    "credentials": "`keyctl passkeys list` shows the passkeys on a key",
    "delete": "`keyctl passkeys delete` deletes passkeys from a key, and `keyctl forget NAME` forgets a key",
    "fido": "`keyctl info` shows a key, `keyctl passkeys list` what is on it, and `keyctl pin` changes its PIN",
    "help": "`keyctl --help` lists all commands, `keyctl COMMAND --help` explains one",
    "remove": "`keyctl forget NAME` forgets a key, and `keyctl passkeys delete` deletes passkeys from it",
    "rename": "`keyctl edit NAME --name NAME` gives a key another name",
}

NOT_KEYUTILS = "keyrings of the Linux kernel are managed by the keyctl of keyutils; this one manages security keys"
#: The verbs of keyutils' keyctl (its manual page keyctl(1)).
KEYUTILS_VERBS = frozenset(
    {
        "chgrp",
        "chown",
        "clear",
        "describe",
        "dh_compute",
        "dh_compute_kdf",
        "dh_compute_kdf_oi",
        "get_persistent",
        "get_security",
        "id",
        "instantiate",
        "invalidate",
        "link",
        "move",
        "negate",
        "new_session",
        "newring",
        "padd",
        "pipe",
        "pinstantiate",
        "pkey_decrypt",
        "pkey_encrypt",
        "pkey_query",
        "pkey_sign",
        "pkey_verify",
        "prequest2",
        "print",
        "prompt",
        "pupdate",
        "purge",
        "rdescribe",
        "read",
        "reap",
        "reject",
        "request",
        "request2",
        "restrict_keyring",
        "revoke",
        "rlist",
        "search",
        "security",
        "session",
        "setperm",
        "show",
        "supports",
        "timeout",
        "unlink",
        "update",
        "watch",
        "watch_add",
        "watch_rm",
        "watch_session",
        "watch_sync",
    }
)
