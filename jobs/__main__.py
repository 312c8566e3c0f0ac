"""`python -m jobs` is the command line `glipforge`."""

from glipforge import main

if __name__ == "__main__":
    raise SystemExit(main())
