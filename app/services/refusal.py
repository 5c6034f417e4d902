"""A no to the operator: a code for programs and a sentence for people."""


class Refusal(Exception):
    """What was asked is not done, and nothing changed."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
