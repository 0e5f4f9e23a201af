"""`python -m masques_pipelines`: the `masques` command, where its script is not on the path."""

from masques_pipelines.cli import main

if __name__ == "__main__":
    main()
