"""All rules of the health check in one table: what each looks at, how bad it is and what to do; for the manual page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: How the id of an advisory's finding begins; behind it comes the advisory's own, in lower case with underscores.
ADVISORY_PREFIX = "advisory_"


class Subject(StrEnum):
    """What a rule is about."""

    KEY = "key"
    PAIRING = "pairing"
    ACCOUNT = "account"
    INVENTORY = "inventory"


class Level(StrEnum):
    """The worst that a rule says."""

    #: Nothing bad: it tells something worth knowing.
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    #: One or the other, by how bad it is.
    BOTH = "warn or fail"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule."""

    #: Stable.
    id: str
    subject: Subject
    level: Level
    #: What it says.
    meaning: str
    #: What to do.
    action: str
    #: Whether its findings can be accepted.
    acceptable: bool = True


def _rules(subject: Subject, *rows: tuple[str, Level, str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(id=name, subject=subject, level=level, meaning=meaning, action=action, acceptable=name != "pin_tries")
        for name, level, meaning, action in rows
    )


RULES: tuple[Rule, ...] = (
    *_rules(
        Subject.KEY,
        (
            "unreachable",
            Level.BOTH,
            "a key is plugged in and cannot be opened, or does not answer as it should",
            "keyctl doctor says why",
        ),
        (
            "recognition",
            Level.BOTH,
            "the key does not answer as the one that it was, or a key of its model answers to no name",
            "keyctl add NAME --replace, if you reset or enrolled it; else find out who meddled",
        ),
        (
            "key_reset",
            Level.WARN,
            "the key was reset and has not been given its name again",
            "keyctl add NAME --replace, or keyctl forget NAME",
        ),
        (
            "counter",
            Level.FAIL,
            "the signature counter went back: somebody may have a copy of the key",
            "remove the key from your accounts",
        ),
        ("pin_set", Level.WARN, "the key has no PIN: whoever finds it can use it", "keyctl pin set"),
        (
            "pin_tries",
            Level.BOTH,
            "two PIN tries are left or fewer, none, or the key wants to be unplugged first",
            "keyctl pin verify with the right PIN sets the tries back; without any left only keyctl reset helps",
        ),
        ("pin_change", Level.WARN, "the key wants another PIN before it does anything else", "keyctl pin change"),
        (
            "pin_length",
            Level.WARN,
            "the key itself takes PINs that are shorter than min_pin_length, however long yours is",
            "have a PIN that is as long, then accept this; keyctl cannot raise what the key wants yet",
        ),
        (
            "passkey_slots",
            Level.WARN,
            "the key is full, or as full as passkeys_percent says",
            "delete passkeys that you do not need, or get another key",
        ),
        (
            "firmware",
            Level.WARN,
            "there are advisories on the model, and whether they concern this key nobody knows",
            "plug it in and check again; look up its firmware with the vendor's program",
        ),
        (
            f"{ADVISORY_PREFIX}ID",
            Level.BOTH,
            "a published advisory concerns the key; ID is that of the advisory, as in advisory_ysa_2024_03",
            "what the advisory says; where the firmware is fixed for ever, accept it until you replace the key",
        ),
        (
            "key_drill",
            Level.BOTH,
            "the key has not proved itself with a touch for key_drill_days, or failed to",
            "keyctl health --drill",
        ),
        (
            "scan",
            Level.WARN,
            "the passkeys of the key were not read for scan_days, or never",
            "keyctl scan",
        ),
        (
            "enterprise_attestation",
            Level.WARN,
            "some sites may learn the serial number of the key",
            "only a reset ends it; accept it where an employer wants it",
        ),
        (
            "location",
            Level.WARN,
            "nobody noted where a backup key lies",
            "keyctl edit NAME --location PLACE",
        ),
        (
            "lost_key",
            Level.BOTH,
            "something is left to do about a key that is marked as lost; a failure while accounts still know it",
            "keyctl lost NAME shows the steps, and --done STEP ticks one off",
        ),
    ),
    *_rules(
        Subject.PAIRING,
        (
            "pairing_seed",
            Level.FAIL,
            "the inventory's seed is not the one that this computer trusts",
            "if you did not pair the keys again, somebody changed the inventory",
        ),
        (
            "pairing_record",
            Level.BOTH,
            "the record on a key is not the inventory's, or was not seen for record_days",
            "plug the key in and check again; keyctl pair restore reads a record anew",
        ),
        (
            "derived_keys",
            Level.FAIL,
            "a recorded derived key does not follow from the seed",
            "do not use it; restore the inventory from a backup",
        ),
        (
            "pairing_drill",
            Level.BOTH,
            "the backup key has not shown for pairing_drill_days that it can take over, or failed to",
            "keyctl pair verify",
        ),
        (
            "pairing_method",
            Level.OK,
            "tells that the method is software, which is the weakest",
            "pair again by a stronger method when you get keys that can",
        ),
        (
            "pairing_gaps",
            Level.WARN,
            "with the method registration: the primary key opens accounts that the backup key does not",
            "register the backup key there; keyctl pair show lists them",
        ),
    ),
    *_rules(
        Subject.ACCOUNT,
        (
            "account_at_risk",
            Level.BOTH,
            "no key opens the account, or one key does and nothing else but sms or email",
            "register another key, or note a recovery method with keyctl service",
        ),
    ),
    *_rules(
        Subject.INVENTORY,
        ("nothing_known", Level.WARN, "no key is known, so nothing can be checked", "keyctl add NAME"),
        ("two_keys", Level.WARN, "an owner has fewer than two keys", "get a second key, and keyctl add NAME"),
        (
            "models",
            Level.WARN,
            "all keys of an owner are of one model, so that one flaw concerns them all",
            "choose another maker or model for the next key",
        ),
        (
            "same_flaw",
            Level.WARN,
            "keys of one owner with the same model and firmware have the same flaw",
            "replace one of them first",
        ),
        (
            "export",
            Level.WARN,
            "the inventory was never exported on this computer, or changed since",
            "keyctl inventory export FILE; accept it where the folder is backed up otherwise",
        ),
        (
            "future",
            Level.WARN,
            "files of the inventory tell of times that have not come yet",
            "set the clock of the computer that wrote them",
        ),
        (
            "clock",
            Level.WARN,
            "the clock of this computer was set back since keyctl last ran, so that ages cannot be trusted",
            "set the clock; it corrects itself when that time has come",
        ),
    ),
)


def rule_of(check_id: str) -> Rule:
    """The rule with this id, or that of all advisories.

    Raises:
        KeyError: There is none.
    """
    wanted = f"{ADVISORY_PREFIX}ID" if check_id.startswith(ADVISORY_PREFIX) else check_id
    found = {rule.id: rule for rule in RULES}
    return found[wanted]
