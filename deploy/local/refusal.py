"""What stands in the way, told to a person in one sentence instead of a traceback."""

from __future__ import annotations


class Refusal(Exception):
    """Ends a command with exit status 1 and this sentence, in Vietnamese and in English."""

    def __init__(self, vietnamese: str, english: str) -> None:
        super().__init__(english)
        self.vietnamese, self.english = vietnamese, english

    @property
    def text(self) -> str:
        """What is printed."""
        return f"{self.vietnamese}\n{self.english}"
