"""The whole model once more, in NumPy: the recipe computes what it says it computes."""

import math
import runpy
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest
from mlx.utils import tree_flatten

from .commands import REPO, load_harness, prepare, write_settings

Array = npt.NDArray[Any]


def norm(x: Array) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate(x: Array) -> Array:
    """Rotary positions on neighbouring pairs; x is (rows, heads, T, head width)."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[-2])[:, None] * 10000.0 ** (-np.arange(half) / half)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.stack(
        [even * np.cos(angle) - odd * np.sin(angle), even * np.sin(angle) + odd * np.cos(angle)], -1
    )
    return turned.reshape(x.shape)


def attention(w: dict[str, Array], layer: int, x: Array, tokens: Array, config: Any) -> Array:
    (rows, length, width), heads, window = x.shape, config.heads, config.windows[layer]
    at = f"blocks.{layer}.attn"

    def by_head(y: Array) -> Array:
        return y.reshape(rows, length, heads, -1).transpose(0, 2, 1, 3)

    q, k, v = (x @ w[f"{at}.{name}.weight"].T for name in ("c_q", "c_k", "c_v"))
    if f"{at}.value_embed.weight" in w:
        gate = 2 / (1 + np.exp(-x[..., :32] @ w[f"{at}.value_gate.weight"].T))
        v = v + np.repeat(gate, width // heads, -1) * w[f"{at}.value_embed.weight"][tokens]
    q, k = norm(rotate(by_head(q))), norm(rotate(by_head(k)))
    back = np.arange(length)[:, None] - np.arange(length)[None, :]
    scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(width // heads)
    seen = softmax(np.where((back >= 0) & (back < window), scores, -np.inf))
    mixed = (seen @ by_head(v)).transpose(0, 2, 1, 3).reshape(rows, length, width)
    return mixed @ w[f"{at}.c_proj.weight"].T


def forward(w: dict[str, Array], tokens: Array, config: Any, softcap: float) -> Array:
    x = first = norm(w["wte.weight"][tokens])
    for i in range(config.layers):
        x = w["resid_scale"][i] * x + w["x0_scale"][i] * first
        x = x + attention(w, i, norm(x), tokens, config)
        hidden = np.maximum(norm(x) @ w[f"blocks.{i}.mlp.c_fc.weight"].T, 0) ** 2
        x = x + hidden @ w[f"blocks.{i}.mlp.c_proj.weight"].T
    logits = norm(x) @ w["lm_head.weight"].T
    return softcap * np.tanh(logits / softcap) if softcap else logits


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that train.py leaves after a step or two with the shape of profile `cpu`."""
    folder = tmp_path_factory.mktemp("cpu")
    data = Path(prepare(folder, "--profile", "cpu")["folder"])
    run_file = write_settings(data, folder / "run.json", time_budget=0.5, eval_tokens=4096)
    harness = load_harness(run_file)
    sys.modules["prepare"] = harness
    try:
        left = runpy.run_path(str(REPO / "train.py"))
    finally:
        del sys.modules["prepare"]
    return {**left, "harness": harness}


@pytest.mark.parametrize("softcap", [0.0, 15.0])
def test_bits_per_byte_agree_with_a_forward_pass_in_numpy(
    trained: dict[str, Any], softcap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, model = trained["harness"], trained["model"]
    monkeypatch.setitem(trained["GPT"].__call__.__globals__, "SOFTCAP", softcap)
    mx.random.seed(3)
    flat: Any = tree_flatten(model.parameters())
    weights = [(path, p + 0.1 * mx.random.normal(p.shape)) for path, p in flat]  # no zeros left
    model.load_weights(weights)
    in_numpy = {path: np.array(p, dtype=np.float64) for path, p in weights}

    def numpy_model(tokens: mx.array) -> mx.array:
        return mx.array(forward(in_numpy, np.array(tokens), trained["config"], softcap))

    expected = harness.evaluate_bpb(numpy_model, None, 1)

    assert trained["config"].windows == [128, 256]  # both kinds of attention are compared
    assert harness.evaluate_bpb(model, None, 1) == pytest.approx(expected, abs=1e-4)


def test_the_number_printed_is_the_metric_of_the_model_trained(trained: dict[str, Any]) -> None:
    fresh = trained["GPT"](trained["config"])
    fresh.update(trained["cast"](trained["params"]))

    value = trained["harness"].evaluate_bpb(fresh, None, 1)

    assert value == trained["val_bpb"]
