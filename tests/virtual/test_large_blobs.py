"""The large-blob array, by python-fido2's class and by hand."""

from __future__ import annotations

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import ClientPin, LargeBlobs
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice
from tests.blob_arrays import summed

ERR = CtapError.ERR
PERMISSION = ClientPin.PERMISSION
EMPTY = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")  # CTAP 2.2, section 6.10


def refused(code):
    """The key answers with this status."""
    return pytest.raises(CtapError, match=f"^CTAP error: 0x{code:02X} ")


def writer(bench) -> LargeBlobs:
    return LargeBlobs(bench.ctap, bench.pin.protocol, bench.token(PERMISSION.LARGE_BLOB_WRITE))


def stored(bench) -> bytes:
    return bench.ctap.large_blobs(0, get=1900)[1]


def test_a_new_key_has_an_empty_array(bench):
    assert stored(bench) == EMPTY
    assert LargeBlobs(bench.ctap).read_blob_array() == []
    assert bench.ctap.info.max_large_blob == 2048


def test_blobs_are_written_read_and_deleted(bench):
    bench.set_pin()
    ours, theirs = bytes(32), b"\x01" * 32
    writer(bench).put_blob(ours, b"ours")
    writer(bench).put_blob(theirs, b"theirs")
    bench.replug()
    blobs = LargeBlobs(bench.ctap)
    assert (blobs.get_blob(ours), blobs.get_blob(theirs)) == (b"ours", b"theirs")
    writer(bench).delete_blob(ours)
    assert (blobs.get_blob(ours), blobs.get_blob(theirs)) == (None, b"theirs")
    bench.device.power_cycle()
    bench.ctap.reset()
    assert stored(bench) == EMPTY


def test_two_fragments_make_an_array(bench):
    bench.set_pin()
    blobs = writer(bench)
    array = [{1: bytes(range(256)) * 7 + bytes(200), 2: bytes(12), 3: 5}]
    blobs.write_blob_array(array)
    assert blobs.max_fragment_length < len(summed(b"")) + 2000
    assert LargeBlobs(bench.ctap).read_blob_array() == array


def test_what_does_not_fit_is_refused_and_the_old_array_stays(make_bench):
    bench = make_bench("small")
    assert bench.ctap.info.max_large_blob == 1024
    whole = summed(bytes(1024 - 16))
    bench.ctap.large_blobs(0, set=whole, length=1024)
    with refused(ERR.LARGE_BLOB_STORAGE_FULL):
        bench.ctap.large_blobs(0, set=summed(bytes(1009)), length=1025)
    assert stored(bench) == whole


def test_without_a_pin_anybody_writes_and_with_one_the_token_does(bench):
    bench.ctap.large_blobs(0, set=summed(b"\x80"), length=17)
    bench.set_pin()
    with refused(ERR.PUAT_REQUIRED):
        bench.ctap.large_blobs(0, set=EMPTY, length=17)
    with refused(ERR.MISSING_PARAMETER):
        bench.ctap.large_blobs(0, set=EMPTY, length=17, pin_uv_param=bytes(32))
    with refused(ERR.PIN_AUTH_INVALID):
        bench.ctap.large_blobs(0, set=EMPTY, length=17, pin_uv_param=bytes(32), pin_uv_protocol=2)
    with refused(ERR.PIN_AUTH_INVALID):
        LargeBlobs(bench.ctap, bench.pin.protocol, bench.token()).write_blob_array([])


def test_a_wrong_checksum_keeps_the_old_array(bench):
    with refused(ERR.INTEGRITY_FAILURE):
        bench.ctap.large_blobs(0, set=b"\x80" + bytes(16), length=17)
    assert stored(bench) == EMPTY


def test_fragments_come_in_order_and_without_anything_between(bench):
    array = summed(b"\x81\xa0" + bytes(98))
    for between in (
        lambda: bench.ctap.large_blobs(40, set=array[40:]),
        lambda: bench.ctap.large_blobs(60, set=array[60:]),
        bench.ctap.get_info,
        lambda: setattr(bench.clock, "turned_s", bench.clock.turned_s + 31),
    ):
        bench.ctap.large_blobs(0, set=array[:50], length=len(array))
        try:
            between()
        except CtapError as error:
            assert error.code == ERR.INVALID_SEQ  # noqa: PT017  # only two of them fail
        with refused(ERR.INVALID_SEQ):
            bench.ctap.large_blobs(50, set=array[50:])
        assert stored(bench) == EMPTY
    bench.ctap.large_blobs(0, set=array[:50], length=len(array))
    with refused(ERR.INVALID_PARAMETER):
        bench.ctap.large_blobs(50, set=array[50:] + b"\0")
    bench.ctap.large_blobs(0, set=array[:50], length=len(array))
    bench.ctap.large_blobs(50, set=array[50:90])
    bench.ctap.large_blobs(90, set=array[90:])
    assert stored(bench) == array


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, ERR.INVALID_PARAMETER),
        ({3: 0}, ERR.INVALID_PARAMETER),
        ({1: 5}, ERR.INVALID_PARAMETER),
        ({1: 5, 2: b"", 3: 0}, ERR.INVALID_PARAMETER),
        ({1: 5, 3: -1}, ERR.INVALID_PARAMETER),
        ({1: -5, 3: 0}, ERR.INVALID_PARAMETER),
        ({1: 5, 3: 0, 4: 5}, ERR.INVALID_PARAMETER),
        ({1: 5, 3: 0, 5: b""}, ERR.INVALID_PARAMETER),
        ({1: 5, 3: 0, 6: 2}, ERR.INVALID_PARAMETER),
        ({1: 1985, 3: 0}, ERR.INVALID_LENGTH),
        ({1: 5, 3: 18}, ERR.INVALID_PARAMETER),
        ({1: "5", 3: 0}, ERR.CBOR_UNEXPECTED_TYPE),
        ({2: bytes(1985), 3: 0, 4: 2000}, ERR.INVALID_LENGTH),
        ({2: bytes(17), 3: 0}, ERR.INVALID_PARAMETER),
        ({2: bytes(16), 3: 0, 4: 16}, ERR.INVALID_PARAMETER),
        ({2: bytes(17), 3: 1, 4: 18}, ERR.INVALID_PARAMETER),
        ({2: bytes(17), 3: 1}, ERR.INVALID_SEQ),
        ({2: bytes(18), 3: 0, 4: 17}, ERR.INVALID_PARAMETER),
        ({2: bytes(17), 3: 0, 4: 2049}, ERR.LARGE_BLOB_STORAGE_FULL),
        ({2: bytes(17), 3: 0, 4: 2**63}, ERR.LARGE_BLOB_STORAGE_FULL),
    ],
)
def test_parameters_are_checked(bench, parameters, code):
    with refused(code):
        bench.ctap.send_cbor(0x0C, parameters)
    assert stored(bench) == EMPTY


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs") / "virtual"
    keys.new(folder, "blue", "full")
    return VirtualDevice(folder, "blue")


@given(content=st.binary(min_size=1, max_size=400), data=st.data())
@settings(max_examples=40)
def test_any_array_in_any_fragments_is_read_back(shared, content, data):
    from fido2.ctap2 import Ctap2

    ctap, array = Ctap2(shared), summed(content)
    cuts = sorted({0, *data.draw(st.lists(st.integers(1, len(array) - 1), max_size=4))})
    for start, end in zip(cuts, [*cuts[1:], len(array)], strict=True):
        ctap.large_blobs(start, set=array[start:end], length=None if start else len(array))
    size = data.draw(st.integers(1, 500))
    assert b"".join(ctap.large_blobs(at, get=size)[1] for at in range(0, len(array), size)) == array
