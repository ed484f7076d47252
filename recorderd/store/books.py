"""The two books that are kept about calls beside their folders: the catalogue and the ledger.

The writer owns them in service, start-up recovery before it; never both at one time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.store.reindexing import open_or_rebuild

if TYPE_CHECKING:
    from pathlib import Path

    from recorderd.store.catalogue import Catalogue
    from recorderd.store.ledger import Ledger


class Books:
    """Use it on one thread. The catalogue is opened when it is first asked for."""

    def __init__(self, directory: Path, ledger: Ledger, catalogue: Catalogue | None = None) -> None:
        self.ledger = ledger
        self._directory = directory
        self._catalogue = catalogue

    @property
    def catalogue(self) -> Catalogue:
        """Raises StoreError where it can be neither opened nor made again."""
        if self._catalogue is None:
            self._catalogue = open_or_rebuild(self._directory)
        return self._catalogue

    def close_catalogue(self) -> None:
        """Let go of the catalogue; it is opened anew when it is asked for."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None
