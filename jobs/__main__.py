"""`python -m jobs` is the command line `glipforge`."""

from jobs.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
