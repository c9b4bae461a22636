"""An entry that trains for real and plants a fault by the trial's id, through a component of the plan, as techniques do."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from automl.catalog import Component, compose
from automl.execution import worker
from automl.training import trainer

HELD: list[np.ndarray] = []


def hang():
    def step(inputs, target, rng):
        time.sleep(600)

    return step


def segfault():
    def step(inputs, target, rng):
        ctypes.string_at(1)

    return step


def hoard():
    def step(inputs, target, rng):
        if len(HELD) < 4:
            HELD.append(np.ones((len(target), 2**20), np.float32))
        return inputs, target

    return step


def slow():
    def step(inputs, target, rng):
        time.sleep(0.01)
        return inputs, target

    return step


CHANGES = {
    "nan-loss": {"loss": Component("planted_plan:nan_loss")},
    "hang": {"batch_steps": (Component("planted_trainings:hang"),)},
    "segfault": {"batch_steps": (Component("planted_trainings:segfault"),)},
    "hoard": {"batch_steps": (Component("planted_trainings:hoard"),), "batch_size": 256},
    "slow": {"batch_steps": (Component("planted_trainings:slow"),)},
}


def entry(work, session, threads):
    trainer.CHECKPOINT_S = 0.0
    made = compose.plan_of
    compose.plan_of = lambda recipe, profile: made(recipe, profile).replace(**CHANGES.get(work.trial, {}))
    return worker.train(work, session, threads)
