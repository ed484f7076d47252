"""`recorderd` and `python -m recorderd`."""

from __future__ import annotations

import sys

from recorderd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
