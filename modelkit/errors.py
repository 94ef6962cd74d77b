"""What modelkit says when it cannot go on."""

from __future__ import annotations


class ModelkitError(Exception):
    """A file, a folder or an option that cannot be used. The message is a sentence that says what to do."""


class MissingDataError(ModelkitError):
    """Weights that a graph keeps in another file are not there, or not whole."""


class MissingAnswersError(ModelkitError):
    """What cannot be read from the graph and was not given.

    Attributes
    ----------
    questions : dict[str, str]
        Option -> what it asks, in the order in which a person would answer.
    """

    def __init__(self, questions: dict[str, str]) -> None:
        self.questions = questions
        listed = "\n".join(f"  {option}  {text}" for option, text in questions.items())
        super().__init__(f"The graph does not say everything; give these options:\n{listed}")
