"""`python -m tests.faults.stallable FILE …`: recorderd, whose writer stands still once FILE is there."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from unittest.mock import patch

from recorderd.__main__ import main
from recorderd.recording.writer import Writer

if __name__ == "__main__":
    stall, pump = Path(sys.argv.pop(1)), Writer.pump

    def pump_or_stall(writer: Writer) -> None:
        if stall.exists():
            threading.Event().wait()
        pump(writer)

    with patch.object(Writer, "pump", pump_or_stall):
        sys.exit(main())
