"""The same examples in every run, however slow the machine is."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None)
hypothesis.settings.load_profile("deterministic")
