"""Train a model of PyPOTS on ``in.npy`` of the working directory and write ``out.npy``.

It runs in an environment that may have nothing but PyPOTS: nothing of greyknn is imported.
"""

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SAITS: dict[str, Any] = {
    "n_layers": 2, "d_model": 256, "n_heads": 4, "d_k": 64, "d_v": 64, "d_ffn": 128, "dropout": 0.1,
}  # fmt: skip
BRITS: dict[str, Any] = {"rnn_hidden_size": 64}
"""Settings of the authors' examples."""
MOST_EPOCHS = 2000


def main(name: str, seconds: float, seed: int) -> None:
    """Train for about so many seconds of CPU, by the time that an epoch takes, and fill."""
    torch = importlib.import_module("torch")
    model = getattr(importlib.import_module("pypots.imputation"), name)
    torch.set_num_threads(1)
    given = {"X": np.load("in.npy").astype(np.float32)}
    shape = {"n_steps": given["X"].shape[1], "n_features": given["X"].shape[2]}
    settings = {**shape, **{"SAITS": SAITS, "BRITS": BRITS}[name], "verbose": False}

    def trained(epochs: int) -> tuple[Any, float]:
        torch.manual_seed(seed)
        begun = time.process_time()
        fitted = model(**settings, epochs=epochs, device="cpu")
        fitted.fit(given)
        return fitted, time.process_time() - begun

    trained(1)  # the first loads what all others have
    few, more = trained(1)[1], trained(5)[1]
    epoch = max(more - few, more / 2) / 4  # no start-up, but not less for a moment's noise
    fitted, spent = trained(int(np.clip((seconds - few) / epoch, 1, MOST_EPOCHS)))
    begun = time.process_time()
    filled = fitted.predict(given)["imputation"]
    np.save("out.npy", np.asarray(filled, dtype=np.float64))
    Path("seconds").write_text(str(spent + time.process_time() - begun))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
