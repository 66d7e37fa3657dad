"""``python -m histograft`` is the command ``histograft``."""

from histograft.cli import main

if __name__ == "__main__":
    main()
