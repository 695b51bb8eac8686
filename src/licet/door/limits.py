"""Every bound that the HTTP door sets, in one place; ``docs/reference/limits.md`` lists the same."""

from typing import Final

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request body."""
MAX_CATALOG_BODY: Final = 2 * 1024 * 1024
"""Bytes of a catalog document."""
MAX_EVENTS_BODY: Final = 8 * 1024 * 1024
"""Bytes of a request that reports usage."""
MAX_DEPTH: Final = 64
"""How deep JSON may nest."""
MAX_DIGITS: Final = 40
"""Digits of one JSON number; longer ones are refused unread."""
MAX_QUERY: Final = 8192
"""Bytes of a query string."""
MAX_PARAMETERS: Final = 30
"""Parameters of a query string."""
MAX_PATH_PART: Final = 255
"""Characters of an id in a path."""
MAX_IDEMPOTENCY_KEY: Final = 255
"""Characters of ``Idempotency-Key``."""
MAX_ROUTE: Final = 300
"""Characters of a route under which an answer is kept; a longer one is kept under its hash."""
MAX_NOTE: Final = 2000
"""Characters of ``Licet-Note``."""
MAX_CAUSE: Final = 255
"""Characters of ``Licet-Cause``."""
MAX_REQUEST_ID: Final = 128
"""Characters of an incoming ``X-Request-Id``; another one is replaced by ours."""
MAX_PAGE: Final = 500
"""Rows of one page of a list."""
DEFAULT_PAGE: Final = 100
"""Rows of a page where ``limit`` is absent."""
MAX_BATCH: Final = 500
"""Questions of one batch."""
BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""
AT_LEAST_SECONDS: Final = 1.0
"""How long a read waits for the sequence named by ``at_least``."""
LINES_SECONDS: Final = 900.0
"""How long an answer that comes line by line may take until it is whole."""
STALL_SECONDS: Final = 20.0
"""How long the reader of such an answer may take nothing of it."""
RATE_PER_SECOND: Final = 2000.0
"""Requests a key may make per second, lastingly."""
RATE_BURST: Final = 4000
"""Requests a key may make at once."""
FAILED_PER_SECOND: Final = 10.0
"""Wrong or unknown keys that one address may try per second, lastingly."""
FAILED_BURST: Final = 100
"""Wrong or unknown keys that one address may try at once."""
SENDER_PER_SECOND: Final = 200.0
"""Deliveries that may come from one address per second, lastingly; fewer than a source takes."""
SENDER_BURST: Final = 2000
"""Deliveries that may come from one address at once."""
SOURCE_PER_SECOND: Final = 500.0
"""Deliveries that one source takes per second, lastingly."""
SOURCE_BURST: Final = 5000
"""Deliveries that one source takes at once."""
KEY_CACHE_SECONDS: Final = 5.0
"""How long a looked-up key is trusted without asking again; a notice of a commit ends it earlier."""
KEY_CACHE_SIZE: Final = 10_000
"""How many looked-up keys are remembered, unknown ones included."""
FEED_WAIT_SECONDS: Final = 25
"""How long a follower may let one request wait for something new."""
MAX_FOLLOWERS: Final = 10_000
"""Followers of all feeds in one process."""
MAX_KEY_FOLLOWERS: Final = 5_000
"""Followers in one process with one key."""
MAX_FEED_CHANGES: Final = 20_000
"""Rows written since a follower's cursor; beyond it, the feed begins anew."""
MAX_ANSWERS: Final = 128 * 1024 * 1024
"""Bytes of encoded answers that one process keeps, of all workspaces together."""
MAX_FEED_FULL: Final = 4 * 1024 * 1024 * 1024
"""Bytes of a whole feed, signed, kept in a temporary file for those who begin."""
