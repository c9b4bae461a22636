"""A registry that fills itself: the first look imports every module of the packages whose entries it holds."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import threading
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from automl.spec import InvalidInput


class Entry(Protocol):
    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=Entry)


class Registry(Generic[E]):
    """Entries of one kind by id, in order of their ids."""

    def __init__(self, noun: str, *packages: str):
        self._noun = noun
        self._packages = packages
        self._entries: dict[str, E] = {}
        self._discovered = False
        self._lock = threading.RLock()

    def add(self, entry: E) -> None:
        """Raises `ValueError` when the id is taken: each is declared once."""
        if entry.id in self._entries:
            raise ValueError(f"{self._noun} {entry.id!r} is declared twice")
        self._entries[entry.id] = entry

    def remove(self, id: str) -> None:
        """For tests and examples that declare an entry of their own."""
        del self._entries[id]

    def __iter__(self) -> Iterator[E]:
        self._discover()
        return iter([self._entries[id] for id in sorted(self._entries)])

    def __contains__(self, id: object) -> bool:
        self._discover()
        return id in self._entries

    def __len__(self) -> int:
        self._discover()
        return len(self._entries)

    def __getitem__(self, id: str) -> E:
        """Raises `InvalidInput` that names the nearest ids."""
        self._discover()
        try:
            return self._entries[id]
        except KeyError:
            raise InvalidInput.at("", self.unknown(id), reason="UNKNOWN_ID") from None

    def unknown(self, id: str) -> str:
        """The sentence that says an id isn't there, with the nearest that are."""
        self._discover()
        near = difflib.get_close_matches(id, self._entries, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are: {', '.join(sorted(self._entries))}."
        return f"unknown {self._noun} {id!r}{hint}"

    def _discover(self) -> None:
        if self._discovered:
            return
        with self._lock:
            if self._discovered:
                return
            for package in map(importlib.import_module, self._packages):
                for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                    if not module.name.rpartition(".")[2].startswith("_"):
                        importlib.import_module(module.name)
            self._discovered = True
