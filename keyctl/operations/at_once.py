"""Work on several keys at the same time, so that a slow one costs its own time only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(items: Sequence[_Item], work: Callable[[_Item], _Result]) -> list[_Result]:
    """What *work* makes of each item, in their order; one item is worked on in this very thread.

    Raises:
        BaseException: The first that *work* raised, when all have ended.
    """
    if len(items) == 1:
        return [work(items[0])]
    results: dict[int, _Result] = {}
    failures: dict[int, BaseException] = {}

    def run(position: int) -> None:
        try:
            results[position] = work(items[position])
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that waits
            failures[position] = error

    threads = [threading.Thread(target=run, args=(position,), daemon=True) for position in range(len(items))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[min(failures)]
    return [results[position] for position in range(len(items))]
