"""A progress bar on stderr, shown only where a person looks at a terminal."""

from __future__ import annotations

import sys
from types import TracebackType


class ProgressBar:
    """Shows how far a long command is; callable with (what is being done, share 0..1)."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            total=100.0,
            disable=not sys.stderr.isatty(),
            bar_format="{desc:<28} {bar} {n:3.0f} % [{elapsed}]",
            leave=False,
        )

    def __call__(self, what: str, share: float) -> None:
        self._bar.set_description_str(what, refresh=False)
        self._bar.n = min(max(share, 0.0), 1.0) * 100.0
        self._bar.refresh()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
