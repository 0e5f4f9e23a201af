"""Names the person who runs a command."""

import getpass

import click


def user_name() -> str:
    """Returns the name of the user of this process.

    Raises:
        UsageError: The system has no name for it.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise click.UsageError("this user has no name here: give --by") from error
