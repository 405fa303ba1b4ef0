"""Why a key on USB cannot be reached: rules from facts to findings."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from keyctl.core.diagnosis_facts import Check, Facts, Login, Opening, Unknown, UsbFacts, UsbKey
from keyctl.core.results import CheckResult
from keyctl.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: After 60-fido-id.rules, which recognises keys.
_GROUP_RULES = "/etc/udev/rules.d/71-fido-group.rules"
#: Before 73-seat-late.rules, which hands over what carries the tag.
_SEAT_RULES = "/etc/udev/rules.d/70-fido.rules"
_APPLY = "udevadm control --reload && udevadm trigger --subsystem-match=hidraw"
_MEMBERS = (
    "whoever is in the group can talk to every security key that is plugged in here, without being here: try PINs "
    "until a key is blocked, and with its PIN list and delete what is on it; signing in and erasing still want a touch"
)
_NOBODY_REFUSED = "(no key is refused for that)"


def hidraw(facts: Facts) -> Iterator[Check]:
    """Whether the kernel offers what keys are spoken to through."""
    if facts.usb is None or facts.usb.hidraw is None:
        return
    if isinstance(facts.usb.hidraw, Unknown):
        yield Check(id="hidraw", result=CheckResult.SKIP, message=facts.usb.hidraw.reason)
    elif facts.usb.hidraw:
        yield Check(id="hidraw", result=CheckResult.OK, message="the kernel has hidraw")
    else:
        yield Check(
            id="hidraw",
            result=CheckResult.FAIL,
            message="this kernel has no hidraw, through which keys on USB are spoken to",
            hint="take a kernel with CONFIG_HIDRAW=y; in a virtual machine or container look at that of the host",
        )


def administrator(facts: Facts) -> Iterator[Check]:
    """Whether Windows lets this process see keys on USB."""
    if facts.usb is None or facts.platform != "win32":
        return
    if facts.usb.administrator is None:
        message = "it is not known whether this terminal is an administrator's"
        yield Check(id="administrator", result=CheckResult.SKIP, message=message)
    elif facts.usb.administrator:
        yield Check(id="administrator", result=CheckResult.OK, message="this terminal is an administrator's")
    else:
        yield Check(
            id="administrator",
            result=CheckResult.FAIL,
            message="Windows lets only administrators talk to security keys on USB",
            hint="open the terminal as administrator; keys on card readers need none",
        )


def usb_node(facts: Facts) -> Iterator[Check]:
    """Whether every key has its device node here: containers are given only some."""
    for usb, key in _blamed(facts, "usb-node"):
        where = f", in this {usb.container} container" if usb.container else " here"
        yield Check(
            id="usb-node",
            result=CheckResult.FAIL,
            message=f"a security key is plugged in, but {_node(key)} is missing{where}",
            hint=_hand_in(usb.container, visible(_node(key))),
            key=key.selector,
        )


def usb_access(facts: Facts) -> Iterator[Check]:
    """Whether every key can be opened, and if not, why, where no other rule knows."""
    if facts.usb is None:
        return
    if isinstance(facts.usb.keys, Unknown):
        yield Check(id="usb-access", result=CheckResult.SKIP, message=facts.usb.keys.reason)
        return
    if not facts.usb.keys:
        yield Check(id="usb-access", result=CheckResult.SKIP, message="opening keys on USB (there is none)")
    for key in facts.usb.keys:
        if key.opening is Opening.OK:
            yield Check(
                id="usb-access", result=CheckResult.OK, message=f"{key.selector} can be opened", key=key.selector
            )
        elif key.opening is Opening.UNTRIED:
            message = f"whether {key.selector} can be opened is told by `keyctl info`"
            yield Check(id="usb-access", result=CheckResult.SKIP, message=message, key=key.selector)
    for usb, key in _blamed(facts, "usb-access"):
        if key.opening is Opening.FORBIDDEN:
            message = f"opening {_node(key)} is forbidden, whatever its permissions say"
            hint = _hand_in(usb.container, visible(_node(key)))
        elif key.opening is Opening.DENIED:
            message = f"you may not open {_node(key)}, though you should"
            hint = f"unplug the key and plug it in again, or, as root: {_APPLY}"
        else:
            message = f"cannot open {_node(key)}: {key.reason}"
            hint = "unplug the key and plug it in again"
        yield Check(id="usb-access", result=CheckResult.FAIL, message=message, hint=hint, key=key.selector)


def usb_login(facts: Facts) -> Iterator[Check]:
    """Whether a key is refused because nobody of this name sits in front of the machine (as over ssh and in cron)."""
    blamed = list(_blamed(facts, "usb-login"))
    if facts.usb is not None and not blamed and facts.platform == "linux":
        yield Check(id="usb-login", result=CheckResult.SKIP, message=f"the login {_NOBODY_REFUSED}")
    for usb, key in blamed:
        yield Check(
            id="usb-login",
            result=CheckResult.FAIL,
            message=f"you may not open {_node(key)}: keys are given to the person at the machine's own screen, and "
            f"{_whereabouts(usb.login)}",
            hint=_group_hint(usb, key),
            key=key.selector,
        )


def usb_rule(facts: Facts) -> Iterator[Check]:
    """Whether a key is refused because udev has no rule that hands it over."""
    blamed = list(_blamed(facts, "usb-rule"))
    if facts.usb is not None and not blamed and facts.platform == "linux":
        rules = facts.usb.rules
        if isinstance(rules, Unknown):
            yield Check(id="usb-rule", result=CheckResult.SKIP, message=rules.reason)
        elif rules.for_all:
            message = "udev hands keys to the person at the screen"
            yield Check(id="usb-rule", result=CheckResult.OK, message=message)
        else:
            message = f"udev has no rule that hands keys of every model to the person at the screen {_NOBODY_REFUSED}"
            yield Check(id="usb-rule", result=CheckResult.SKIP, message=message)
    for _, key in blamed:
        yield Check(
            id="usb-rule",
            result=CheckResult.FAIL,
            message=f"you may not open {_node(key)}: udev has no rule that hands it to the person at the screen",
            hint=f"install the udev rules of systemd 244 or newer, 60-fido-id.rules among them, or those of libfido2; "
            f'or put this line into {_SEAT_RULES}:\n    {_match(key)}, TAG+="uaccess"\nthen, as root:\n    {_APPLY}',
            key=key.selector,
        )


def usb_group(facts: Facts) -> Iterator[Check]:
    """Whether a key is refused because the user is not, or not yet, in the group that may use it."""
    blamed = list(_blamed(facts, "usb-group"))
    if facts.usb is not None and not blamed and facts.platform == "linux":
        yield Check(id="usb-group", result=CheckResult.SKIP, message=f"groups {_NOBODY_REFUSED}")
    for usb, key in blamed:
        assert key.group is not None
        if key.group.listed:
            message = f"you are in the group {key.group.name}, which may open {_node(key)}, but this login began before"
            hint = f"log out and in again, or try `newgrp {shlex.quote(visible(key.group.name))}`"
        else:
            message = f"only members of the group {key.group.name} may open {_node(key)}"
            hint = f"as root: {_join(usb.login, key.group.name)}\nthen log in again\n{_MEMBERS}"
        yield Check(id="usb-group", result=CheckResult.FAIL, message=message, hint=hint, key=key.selector)


def usb_shared(facts: Facts) -> Iterator[Check]:
    """Whether other programs have a key open: allowed, and sometimes the reason why it is busy."""
    if facts.usb is None or isinstance(facts.usb.keys, Unknown) or facts.platform != "linux":
        return
    for key in facts.usb.keys:
        if key.holders:
            programs = ", ".join(f"{process.name} (process {process.pid})" for process in key.holders)
            yield Check(
                id="usb-shared",
                result=CheckResult.WARN,
                message=f"{_node(key)} is open in {programs} too, which is allowed and may keep the key busy",
                hint="if the key is busy, close that program or its browser tab",
                key=key.selector,
            )
    if not facts.usb.keys:
        yield Check(id="usb-shared", result=CheckResult.SKIP, message="other programs (no key is on USB)")
    elif not any(key.holders for key in facts.usb.keys):
        message = "no other program has a key open, as far as you may know"
        yield Check(id="usb-shared", result=CheckResult.OK, message=message)


#: In the order in which people need them.
RULES: tuple[Callable[[Facts], Iterator[Check]], ...] = (
    hidraw,
    administrator,
    usb_node,
    usb_access,
    usb_login,
    usb_rule,
    usb_group,
    usb_shared,
)


def _blamed(facts: Facts, rule: str) -> Iterator[tuple[UsbFacts, UsbKey]]:
    """The keys that cannot be opened for the reason that *rule* explains: each key has one."""
    usb = facts.usb
    if usb is not None and not isinstance(usb.keys, Unknown):
        for key in usb.keys:
            if _cause(usb, key) == rule:
                yield usb, key


def _cause(usb: UsbFacts, key: UsbKey) -> str | None:
    """The id of the rule that explains why *key* cannot be opened, the nearest remedy first; None: it can."""
    if key.opening in {Opening.OK, Opening.UNTRIED}:
        return None
    if key.opening is Opening.MISSING:
        return "usb-node"
    if key.opening is not Opening.DENIED:
        return "usb-access"
    if key.group is not None and not key.group.now:
        return "usb-group"
    if not isinstance(usb.login, Unknown) and not usb.login.at_seat:
        return "usb-login"
    if not isinstance(usb.rules, Unknown) and not usb.rules.cover(key):
        return "usb-rule"
    return "usb-access"


def _node(key: UsbKey) -> str:
    return key.selector.removeprefix("usb:")


def _whereabouts(login: Login | Unknown) -> str:
    assert isinstance(login, Login)
    if login.remote:
        return "you are logged in over the network"
    if login.at_seat is None:
        return "no login service keeps track of who that is here"
    return "this was started from elsewhere, like cron, a service or a login without a screen"


def _group_hint(usb: UsbFacts, key: UsbKey) -> str:
    """How to give a group access to keys: complete, to be pasted."""
    recognised = not isinstance(usb.rules, Unknown) and usb.rules.recognise
    match = 'SUBSYSTEM=="hidraw", ENV{ID_SECURITY_TOKEN}=="1"' if recognised else _match(key)
    return (
        "run it at the screen, or give a group access; as root:\n"
        "    groupadd --force --system fido\n"
        f"    {_join(usb.login, 'fido')}\n"
        f"put this line into {_GROUP_RULES}:\n"
        f'    {match}, GROUP="fido", MODE="0660"\n'
        "as root again:\n"
        f"    {_APPLY}\n"
        f"then log in again\n{_MEMBERS}"
    )


def _match(key: UsbKey) -> str:
    """The part of a udev rule that matches this model: the kernel names HID devices BUS:VENDOR:PRODUCT.NUMBER."""
    model = f"*:{key.vendor_id or 0:04X}:{key.product_id or 0:04X}.*"
    return f'SUBSYSTEM=="hidraw", KERNELS=="{model}"'


def _join(login: Login | Unknown, group: str) -> str:
    user = "USER" if isinstance(login, Unknown) else shlex.quote(visible(login.user))
    return f"usermod --append --groups {shlex.quote(visible(group))} {user}"


def _hand_in(container: str | None, node: str) -> str:
    """How a container or sandbox gets a device."""
    match container:
        case "flatpak":
            return "allow it with `flatpak override --user --device=all` and the name of the application"
        case "snap":
            return "allow it with `snap connect` and the plug u2f-devices"
        case None:
            return f"in a container, hand the device in, like `--device {node}`; in a service look at DevicePolicy="
        case _:
            return f"start the container with `--device {node}`, anew after every plugging in"
