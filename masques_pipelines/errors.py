"""The base classes of the errors that a command prints as one line and exits with code 1.

The errors of one area are subclasses beside the code that raises them.
"""


class MasquesError(Exception):
    """Something a person can fix: the text says what happened and what to do next.

    The text is one line and names the file, row, setting or record. It never holds a secret.
    """


class SettingError(MasquesError):
    """A setting has a value that cannot be used; the text begins with the variable's name."""


class TransientError(MasquesError):
    """The same call may succeed later: a node is down, busy, or the line was cut."""


class PermanentError(MasquesError):
    """The same call will fail again until a person changes something."""
