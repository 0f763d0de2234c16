"""A clock for tests that passes only when somebody sleeps by it."""


class FakeTime:
    """Seconds, and the pauses that were made."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.seconds = start
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.pauses.append(seconds)
        self.seconds += seconds
