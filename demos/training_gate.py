"""The lock of the training tab: whether it exists at all, and whether a token opens it.

SUITE_TRAIN_TOKEN holds the token; without it nothing is built. Where others than this computer can reach the app, on a
Space above all, SUITE_TRAIN_PUBLIC=1 is needed besides.
"""

import logging
import os
import secrets
import threading
import time
from collections import OrderedDict

from core.train.queue import TOKEN_VARIABLE
from demos.shell import LOCAL

PUBLIC_VARIABLE = "SUITE_TRAIN_PUBLIC"
LEAST_LETTERS = 32
MOST_FAILURES = 5  # then the client waits
LOCKED_SECONDS = 300.0
DELAY_SECONDS = 1.0  # after each wrong token
MOST_CLIENTS = 1000  # remembered
log = logging.getLogger(__name__)


class Gate:
    """One app's lock; it knows how often each address has failed."""

    def __init__(self, token: str, *, delay: float = DELAY_SECONDS) -> None:
        """Lock with a token."""
        self._token, self._delay = token.encode(), delay
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how often, and when the last time
        self._lock = threading.Lock()

    def check(self, token: str | None, client: str) -> None:
        """Return for the right token; ValueError for a wrong one, and for any while the client is locked out."""
        if self._is_locked(client):
            raise ValueError(f"Too many wrong tokens: wait {LOCKED_SECONDS / 60:g} minutes.")
        if secrets.compare_digest((token or "").encode("utf-8", "replace"), self._token):
            with self._lock:
                self._failures.pop(client, None)
            return
        with self._lock:
            count = self._failures.get(client, (0, 0.0))[0] + 1
            self._failures[client] = (count, time.monotonic())
            self._failures.move_to_end(client)
            while len(self._failures) > MOST_CLIENTS:
                self._failures.popitem(last=False)
        time.sleep(self._delay)
        raise ValueError("This token does not open the training tab.")

    def _is_locked(self, client: str) -> bool:
        with self._lock:
            count, last = self._failures.get(client, (0, 0.0))
            if count and time.monotonic() - last > LOCKED_SECONDS:
                del self._failures[client]
                return False
            return count >= MOST_FAILURES


def find_gate() -> Gate | None:
    """Return the lock that the environment asks for; None, with the reason in the log, where the tab is not to be."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        return None
    if len(token) < LEAST_LETTERS:
        log.warning("%s has fewer than %d letters: the tab is not built.", TOKEN_VARIABLE, LEAST_LETTERS)
        return None
    alone = os.environ.get(LOCAL) == "1" and "SPACE_ID" not in os.environ
    if not alone and os.environ.get(PUBLIC_VARIABLE) != "1":
        log.warning("Others can reach this app: the tab is built only with %s=1 besides.", PUBLIC_VARIABLE)
        return None
    return Gate(token)
