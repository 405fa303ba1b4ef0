"""Measure keyctl: time, memory, and what is sent to keys: virtual ones, on a card reader, and on USB in a guest.

``bench.py [--json FILE] [--rounds N] [--quick] [--counts]``, on Unix. It reports and fails for no measurement.
Times are the least of all rounds, in units of what Python and Click alone take, or a smaller job of keyctl's own,
measured in the same rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import resource
import sys
import tempfile
from pathlib import Path

import children
import counts
import hidraw_times
import keys
import pairing
import times
from counts import MEBIBYTE, Count
from hidraw_times import Client, Race
from times import Case, Timing

#: (sites, passkeys) of the keys that are listed.
SIZES = ((5, 5), (15, 25), (50, 100))
ROUNDS, QUICK_ROUNDS = 20, 3


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Measure keyctl.")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there too")
    parser.add_argument("--rounds", metavar="N", type=int, default=ROUNDS, help=f"how often ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    parser.add_argument("--counts", action="store_true", help="only what can be counted, no times")
    options = parser.parse_args(arguments)
    rounds = QUICK_ROUNDS if options.quick else max(1, options.rounds)
    # Says at once, in its own words, when keyctl is not installed here.
    version = children.done(
        children.Program(words=(*children.keyctl(), "--version"), environment=children.clean_environment())
    )
    results: dict[str, object] = {
        "program": version.stdout.strip(),
        "command": list(children.keyctl()),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "rounds": 0 if options.counts else rounds,
    }
    say(f"{results['program']}, Python {results['python']}, {results['machine']}; {' '.join(children.keyctl())}")
    with tempfile.TemporaryDirectory(prefix="keyctl-bench-") as name:
        folder = Path(name)
        sizes = (SIZES[0], SIZES[-1]) if options.counts else SIZES
        made = [keys.make(folder, sites=sites, passkeys=passkeys) for sites, passkeys in sizes]
        timings: list[Timing | Case] = []
        if not options.counts:
            cases = [times.unit(), *times.start_cases(folder), *times.key_cases(made)]
            timings = times.measured(cases, rounds)
            # By themselves: a service with cards has work to do when a command is over, which others would pay for.
            with times.reader_cases(made, folder / "timed on cards") as on_cards:
                timings += times.measured([times.unit(), *on_cards], rounds)[1:]
            say(f"\nLeast of {rounds} rounds; x: times the first line of each table; CPU: the same of processor time.")
            print_timings(timings)
            for other in (times.coverage_cases(folder), times.health_cases(folder), times.scan_cases(folder)):
                more = times.measured(other, rounds)
                say("")
                print_timings(more)
                timings += more
        counted, obstacle = count(made, folder)
        say("\nCTAP commands as the key counted them, bytes without framing; at least: what the protocol asks for.")
        print_table(
            ("", "key", "commands", "at least", "at most", "sent", "received", "peak MB", "met"),
            [count_row(row) for row in counted],
        )
        if obstacle:
            say(f"nothing on a card reader: {obstacle}")
        paired = list(pairing.count_all(folder))
        say("\nPairing two virtual keys: commands as each counted them, touches of both together.")
        print_table(("", "key", "commands", "touches", "at most", "met"), [pairing_row(row) for row in paired])
        derived = None if options.counts else pairing.deriving()
        if derived is not None:
            say(
                f"\nOne derived public key: {derived.derived_s * 1e6:.0f} us, {derived.ratio:.2f} x two base-point "
                f"multiplications and one ECDH in OpenSSL; target <= {pairing.MAX_DERIVING_RATIO:g} x: "
                f"{'yes' if derived.met else 'NO'}"
            )
            of_many = times.measured(pairing.derive_cases(folder), rounds)
            say("")
            print_timings(of_many)
            timings += of_many
    races: list[Race] = []
    no_guest: str | None = "not counted"
    if not options.counts:
        races, no_guest = race(rounds)
    own_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    say(f"\nNo peak can be seen that is less than the benchmark's own, {own_bytes / MEBIBYTE:.0f} MB.")
    results |= {
        "own_peak_bytes": own_bytes,
        "times": [timing_data(row) for row in timings],
        "counts": [count_data(row) for row in counted],
        "pairing": [dataclasses.asdict(row) | {"met": row.met} for row in paired],
        "deriving": None if derived is None else dataclasses.asdict(derived) | {"ratio": derived.ratio},
        "card_reader": obstacle,
        "hidraw": [race_data(row) for row in races],
        "no_guest": no_guest,
    }
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def count(made: list[keys.BenchKey], folder: Path) -> tuple[list[Count], str | None]:
    """All counts, and why there are none on a card reader."""
    counted: list[Count] = []
    try:
        counted.extend(counts.count_all(made, folder))
    except keys.NoReaderError as error:
        return counted, str(error)
    return counted, None


def race(rounds: int) -> tuple[list[Race], str | None]:
    """What keyctl and libfido2 do on hidraw, shown, and why nothing is known."""
    try:
        races = hidraw_times.races(rounds)
    except hidraw_times.NoGuestError as error:
        say(f"nothing on hidraw: {error}")
        return [], str(error)
    say("\nOn hidraw in a guest whose processor is emulated: keyctl, and libfido2 on the same key; x: times libfido2.")
    rows = [(client_row(one.ours, f"{one.ratio:.2f}", one), client_row(one.theirs, "", None)) for one in races]
    print_table(("", "commands", "sent", "received", "ms", "x", "met"), [client for both in rows for client in both])
    return races, None


def client_row(client: Client, ratio: str, judged: Race | None) -> tuple[str, ...]:
    return (
        client.title,
        str(client.commands),
        str(client.sent_bytes),
        str(client.received_bytes),
        f"{client.wall_s * 1000:.0f}",
        ratio,
        "" if judged is None else "yes" if judged.met else "NO",
    )


def race_data(row: Race) -> dict[str, object]:
    return {
        "keyctl": dataclasses.asdict(row.ours),
        "libfido2": dataclasses.asdict(row.theirs),
        "ratio": row.ratio,
        "met": row.met,
    }


def print_timings(timings: list[Timing | Case]) -> None:
    print_table(("", "ms", "x", "CPU x", "peak MB", "target", "met"), [timing_row(row) for row in timings])


def timing_row(row: Timing | Case) -> tuple[str, ...]:
    if isinstance(row, Case):
        return row.title, row.absent, "", "", "", "", ""
    case = row.case
    targets = []
    if case.max_ratio is not None:
        targets.append(f"<= {case.max_ratio:g} x")
    if case.max_s is not None:
        targets.append(f"<= {case.max_s * 1000:.0f} ms")
    if case.max_bytes is not None:
        targets.append(f"<= {case.max_bytes / MEBIBYTE:.0f} MB")
    return (
        case.title,
        f"{row.wall_s * 1000:.1f}",
        f"{row.ratio:.2f}",
        f"{row.cpu_ratio:.2f}",
        f"{row.peak_bytes / MEBIBYTE:.1f}",
        ", ".join(targets),
        row.failure or {True: "yes", False: "NO", None: ""}[row.met],
    )


def timing_data(row: Timing | Case) -> dict[str, object]:
    if isinstance(row, Case):
        return {"title": row.title, "absent": row.absent}
    return {
        "title": row.case.title,
        "unit": row.unit,
        "wall_s": row.wall_s,
        "cpu_s": row.cpu_s,
        "ratio": row.ratio,
        "cpu_ratio": row.cpu_ratio,
        "peak_bytes": row.peak_bytes,
        "max_ratio": row.case.max_ratio,
        "max_s": row.case.max_s,
        "max_bytes": row.case.max_bytes,
        "failure": row.failure,
        "met": row.met,
    }


def count_row(row: Count) -> tuple[str, ...]:
    return (
        row.title,
        row.where,
        str(row.commands),
        str(row.at_least),
        "" if row.at_most is None else str(row.at_most),
        "" if row.sent_bytes is None else str(row.sent_bytes),
        "" if row.received_bytes is None else str(row.received_bytes),
        f"{row.peak_bytes / MEBIBYTE:.1f}",
        f"exit status {row.exit_status}" if row.exit_status else "yes" if row.met else "NO",
    )


def pairing_row(row: pairing.PairingCount) -> tuple[str, ...]:
    at_most = "" if row.max_touches is None else str(row.max_touches)
    return row.title, row.key, str(row.commands), str(row.touches), at_most, "yes" if row.met else "NO"


def count_data(row: Count) -> dict[str, object]:
    return {
        "title": row.title,
        "where": row.where,
        "commands": row.commands,
        "at_least": row.at_least,
        "at_most": row.at_most,
        "names": row.names,
        "sent_bytes": row.sent_bytes,
        "received_bytes": row.received_bytes,
        "peak_bytes": row.peak_bytes,
        "exit_status": row.exit_status,
        "met": row.met,
    }


def print_table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in [headers, *rows]) for column in range(len(headers))]
    words = {0, headers.index("met"), *(headers.index(name) for name in ("key", "target") if name in headers)}
    for row in [headers, *rows]:
        cells = (
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join(cells).rstrip())


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # a script that prints what it measured


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except children.FailedError as failure:
        sys.exit(f"bench: {failure}")
