import os

import numba
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MKL_NUM_THREADS", "1")  # torch's, which only slow small matrices down

COMPILED = not numba.config.DISABLE_JIT

settings.register_profile(
    "greyknn",
    deadline=None,
    max_examples=int(os.environ.get("EXAMPLES", 40 if COMPILED else 10)),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("greyknn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if COMPILED:
        return
    skip = pytest.mark.skip(reason="needs compiled kernels; this run interprets them")
    for item in items:
        if "jit" in item.keywords:
            item.add_marker(skip)
