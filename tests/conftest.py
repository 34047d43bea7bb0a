"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A shared machine makes single examples slow, so none has a deadline. CI draws the same examples in every run: what a
# random search finds elsewhere becomes a test of its own, and never a build that is red by chance.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
