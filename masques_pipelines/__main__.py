"""`python -m masques_pipelines`: the `masques` command, where its script is not on the path.

Here: the call.
Not here: anything else.
A re-run is the command's matter.
"""

from masques_pipelines.cli import main

if __name__ == "__main__":
    main()
