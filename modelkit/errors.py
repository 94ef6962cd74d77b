"""Errors of modelkit."""

from __future__ import annotations


class ModelkitError(Exception):
    """A file, folder or option that cannot be used. The message says what to do."""


class MissingDataError(ModelkitError):
    """External weights of a graph are missing or truncated."""


class MissingAnswersError(ModelkitError):
    """Facts that the graph does not contain and the user did not state.

    Attributes
    ----------
    questions : dict[str, str]
        Option -> question, in the order of the prompts.
    """

    def __init__(self, questions: dict[str, str]) -> None:
        self.questions = questions
        listed = "\n".join(f"  {option}  {text}" for option, text in questions.items())
        super().__init__(f"The graph does not say everything; give these options:\n{listed}")
