"""The RP id as people type it: what names a site, an SSH key, a computer's login or an encrypted disk."""

from __future__ import annotations

import re
import unicodedata

from keyctl.errors import UsageError

#: Far more than a domain's 253 characters (RFC 1035, section 2.3.4); the scheme-like texts have no limit of their own.
_MAX_CHARACTERS = 1000
_MAX_DOMAIN = 253
_MAX_LABEL = 63
#: RFC 1035, section 2.3.1, and the underscore that some hosts have all the same.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
#: RFC 3986, section 3.1, without the dot: ``example.com:8443`` is a domain with a port.
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+-]*):(?P<rest>.*)")


def parse(text: str) -> str:
    """The RP id that *text* means: a domain in its ASCII form and lower case, or a text such as ``ssh:`` as it is.

    Raises:
        UsageError: It is neither; the hint says which part of a pasted address is the RP id.
    """
    if (whole := _whole(text)) is not None:
        return whole
    part = _part(text)
    if part is None:
        hint = (
            "an RP id is a domain such as example.com, or the `ssh:`, `pam://HOST` or `io.systemd.cryptsetup` of a file"
        )
    else:
        hint = f"the RP id in it is probably {part}"
    shown = text if len(text) <= _MAX_DOMAIN else f"{text[:60]}..."
    raise UsageError("usage", f"{shown!r} is not an RP id", hint)


def likely(text: str) -> str | None:
    """The RP id that *text* means, or that is in it as in a pasted address; None: there is none."""
    return _whole(text) or _part(text)


def _whole(text: str) -> str | None:
    if len(text) > _MAX_CHARACTERS:
        return None
    domain = _domain(text)
    return domain if domain is not None else _scheme_like(text)


def _part(text: str) -> str | None:
    domain = _domain(_host(text[:_MAX_CHARACTERS]))
    return None if domain is None else _of_catalogue(domain)


def _domain(text: str) -> str | None:
    """*text* in the A-label form of WebAuthn's RP ids (level 3, section 5.1.2), or None where it is no domain.

    Mapped as browsers do (UTS 46, non-transitional processing): ``straße.example`` and ``strasse.example`` are two.
    """
    mapped = text if text.isascii() else unicodedata.normalize("NFKC", _lower(text)).replace("\u3002", ".")
    labels = [_ascii_label(_lower(label)) for label in mapped.split(".")]
    known = [label for label in labels if label is not None]
    domain = ".".join(known)
    # A last label of digits makes it an address (WHATWG URL, section 3.5), which cannot be an RP id.
    if len(known) < len(labels) or len(domain) > _MAX_DOMAIN or known[-1].isdigit():
        return None
    return domain


def _lower(text: str) -> str:
    # One character at a time: at the end of a word Python would turn a capital sigma into another letter.
    return text.lower() if text.isascii() else "".join(character.lower() for character in text)


def _ascii_label(label: str) -> str | None:
    if not label.isascii():
        kinds = [unicodedata.category(character)[0] for character in label if character != "-"]
        if len(label) > _MAX_LABEL or not set(kinds) <= set("LMN") or kinds[0] == "M":
            return None
        label = f"xn--{label.encode('punycode').decode('ascii')}"
    return label if _LABEL.fullmatch(label) else None


def _scheme_like(text: str) -> str | None:
    match = _SCHEME.fullmatch(text)
    if match is None or not text.isprintable() or " " in text:
        return None
    scheme, rest = match["scheme"].lower(), match["rest"]
    # A web address, or a host with its port.
    return None if scheme in {"http", "https"} or rest.isdigit() else f"{scheme}:{rest}"


def _host(address: str) -> str:
    """The host in what may be a web address, a mail address, a wildcard or a domain with a final dot."""
    host = re.split(r"[/?#\\]", re.sub(r"^[A-Za-z]+://", "", address.strip()), maxsplit=1)[0]
    return re.sub(r":\d*$", "", host.rpartition("@")[2]).removeprefix("*.").rstrip(".").strip()


def _of_catalogue(domain: str) -> str:
    """The RP id of the site that *domain* belongs to, when it is a known one."""
    from keyctl.core import sites

    site = sites.find(domain)
    return site.rp_id if site else domain
