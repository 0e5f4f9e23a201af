"""The errors a person is meant to read.

Here: the base of every error that a command prints as one line and exits with code 1.
Not here: errors of one area (they live beside the code that raises them, as subclasses).
A re-run does nothing: this module holds no state.
"""


class MasquesError(Exception):
    """Something a person can mend: the text says what happened and what to do next.

    The text is one line and names the file, row, setting or record. It never holds a secret.
    """


class SettingError(MasquesError):
    """A setting has a value that cannot be used; the text begins with the variable's name."""


class TransientError(MasquesError):
    """The same call may succeed later: a node is down, busy, or the line was cut."""


class PermanentError(MasquesError):
    """The same call will fail again until a person changes something."""
