"""``python -m hardener`` is ``hardener``."""

from hardener.cli import main

main()
