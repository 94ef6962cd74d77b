"""``python -m modelkit``."""

from modelkit.cli import main

if __name__ == "__main__":
    main()
