"""A schedule that ends when its time does.

How long an epoch takes is foreseen from probes and other trainings, and on a machine that others use, too, it changes by
half while a training runs. A schedule over a number of epochs that was settled before is then cut off at a high rate, or
ends early. Of a training that is paced, what is left of its schedule is laid anew over the epochs that the time still has
room for, after each of them, at most as many as its recipe has. Its position never jumps, and comes to the end with the
last epoch. What was trained is a recipe of as many epochs as there were in the end.
"""

from __future__ import annotations

import math

RECENT = 2
"""Epochs whose mean time the next ones are taken to need."""


class Pace:
    """Where a schedule stands, and how many epochs are left to carry it out. Times are of `time.monotonic()`."""

    def __init__(self, ends: float, last: float, epochs: int, steps: int):
        """`ends`: the last epoch should end by then. `last`: what ends later is lost. `epochs` of `steps` at most."""
        self._ends, self._last, self._most, self._steps = ends, last, epochs, steps
        self.epochs = epochs
        """Of the whole training, as planned now."""
        self._at = 0.0
        """Share of the schedule behind the epochs that are done."""
        self._times: list[float] = []
        self._began = 0.0

    def begin(self, done: int, iterations: int, now: float, epoch_s: float | None = None) -> None:
        """Stands behind so many epochs, where an optimizer's step does. `epoch_s` is what an epoch takes by its first
        steps."""
        self._at, self._began = min(1.0, iterations / (self._most * self._steps)), now
        if self._at >= 1.0 and done:
            self.epochs = done
        elif epoch_s is not None:
            self.epochs = done + max(1, self._room(done, now, epoch_s))

    @property
    def done(self) -> int:
        """The step of the recipe's own schedule behind the epochs that are done."""
        return round(self._at * self._most * self._steps)

    def position(self, epoch: int, done: int) -> int:
        """The step of the recipe's own schedule that stands for the step behind `done` of an epoch (from 1)."""
        left = self.epochs - epoch + 1
        share = self._at + (1 - self._at) * done / (self._steps * left)
        return min(self._most * self._steps, round(share * self._most * self._steps))

    def after(self, epoch: int, now: float) -> None:
        """Plans the epochs that are left behind one that has ended."""
        self._at += (1 - self._at) / (self.epochs - epoch + 1)
        self._times.append(now - self._began)
        self._began = now
        if epoch >= self.epochs:
            return
        recent = self._times[-RECENT:]
        self.epochs = epoch + self._room(epoch, now, sum(recent) / len(recent))

    def _room(self, done: int, now: float, epoch_s: float) -> int:
        """How many of the epochs that are left there is time for."""
        room = math.floor((self._ends - now) / max(epoch_s, 1e-6))
        if room < 1 and now + epoch_s < self._last:
            room = 1  # Weights at a high rate are worth less than a little lateness.
        return min(self._most - done, max(0, room))
