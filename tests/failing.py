"""The error that a call ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keyctl.errors import KeyctlError

if TYPE_CHECKING:
    from collections.abc import Callable


def failing(call: Callable[..., Any], *args: Any, **more: Any) -> KeyctlError:
    with pytest.raises(KeyctlError) as caught:
        call(*args, **more)
    return caught.value
