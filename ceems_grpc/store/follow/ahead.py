"""Read a source in a thread while the consumer works on the previous item."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

_Item = TypeVar("_Item")


@contextmanager
def ahead(source: Iterable[_Item]) -> Iterator[Iterator[_Item]]:
    """Run a source in its own thread, one item ahead of the consumer. The thread ends before the context does."""
    done = object()
    items: queue.Queue[Any] = queue.Queue(1)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                items.put(item, timeout=0.1)
                return True
        return False

    def run() -> None:
        try:
            for item in source:
                if not put(item):
                    return
        except BaseException as error:  # the consumer raises it
            put(error)
        put(done)

    def take() -> Iterator[_Item]:
        while (item := items.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        thread.join()
