"""The recipe: train a small GPT for a fixed time and print its bits per byte. Edit this file.

    python prepare.py     once
    python train.py       trains for TIME_BUDGET seconds, then prints the summary

The whole recipe is here, in reading order: the knobs, the model, the optimizer, the training
loop, the summary. prepare.py holds what must not change: the data, the budget, the evaluation.
"""

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader

# ---------------------------------------------------------------------------------------------
# Knobs
# ---------------------------------------------------------------------------------------------

DEVICE = "metal" if mx.metal.is_available() else "cuda" if mx.cuda.is_available() else "cpu"
# What each kind of device is good at. fp32 on a CPU: its BLAS knows no bf16.
DEPTH, HEAD_DIM, BATCH_TOKENS, DEVICE_TOKENS, DTYPE, COMPILE = {
    "cpu": (2, 64, 1024, 1024, mx.float32, False),
    "metal": (4, 128, 2**16, 2**14, mx.bfloat16, True),
    "cuda": (8, 128, 2**17, 2**16, mx.bfloat16, True),
}[DEVICE]
# DEPTH           transformer layers
# HEAD_DIM        width of an attention head
# BATCH_TOKENS    tokens in an optimizer step
# DEVICE_TOKENS   tokens in one forward and backward pass; their ratio is accumulated gradients
# DTYPE           of the arithmetic; parameters and optimizer state are fp32 everywhere
# COMPILE         whether MLX fuses the training step into few kernels

ASPECT_RATIO = 64  # model width = DEPTH * ASPECT_RATIO, rounded up to whole heads
WINDOW_PATTERN = "SSSL"  # attention by layer, repeated: S sees half the context, L all of it
SOFTCAP = 0.0  # squash logits smoothly into (-SOFTCAP, SOFTCAP); 0 leaves them alone

EMBEDDING_LR = 0.6  # token and value embeddings
UNEMBEDDING_LR = 0.004  # the output layer
MATRIX_LR = 0.01  # the matrices of attention and MLP
SCALAR_LR = 0.5  # the residual scalars
WEIGHT_DECAY = 0.2  # of the matrices only
BETAS = (0.8, 0.95)  # Adam's memory of the gradient and of its square
WARMUP_RATIO = 0.0  # share of the budget in which the learning rate rises
WARMDOWN_RATIO = 0.5  # share of the budget in which it falls
FINAL_LR_FRACTION = 0.0  # what it falls to

# ---------------------------------------------------------------------------------------------
# Model
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Config:
    """The shape of a model."""

    vocab_size: int
    layers: int
    heads: int
    width: int

    @property
    def windows(self) -> list[int]:
        """How many tokens each layer looks back on; the last layer always sees all."""
        reach = {"S": MAX_SEQ_LEN // 2, "L": MAX_SEQ_LEN}
        pattern = [WINDOW_PATTERN[i % len(WINDOW_PATTERN)] for i in range(self.layers)]
        return [reach[letter] for letter in pattern[:-1]] + [MAX_SEQ_LEN]

    def has_value_embedding(self, layer: int) -> bool:
        """Every other layer has one, the last layer included."""
        return layer % 2 == (self.layers - 1) % 2


def by_path(tree: dict) -> dict[str, Any]:
    """Return the arrays of nested parameters by their path, such as blocks.0.mlp.c_fc.weight."""
    return dict(tree_flatten(tree))


def norm(x: mx.array) -> mx.array:
    """Scale vectors to root mean square 1."""
    return mx.fast.rms_norm(x, None, 1e-5)


def attention_mask(length: int, window: int, dtype: mx.Dtype) -> str | mx.array:
    """Let each token see itself and the window - 1 tokens before it."""
    if window >= length:
        return "causal"
    back = mx.arange(length)[:, None] - mx.arange(length)[None, :]
    return mx.where((back >= 0) & (back < window), 0.0, -math.inf).astype(dtype)


class Attention(nn.Module):
    """Multi-head attention with rotary positions and, on some layers, value embeddings."""

    gate_channels = 32  # of the input decide how much of the value embedding is mixed in

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        width, self.heads, self.window = config.width, config.heads, config.windows[layer]
        self.c_q = nn.Linear(width, width, bias=False)
        self.c_k = nn.Linear(width, width, bias=False)
        self.c_v = nn.Linear(width, width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)
        self.rope = nn.RoPE(width // config.heads, traditional=True, base=10000)
        if config.has_value_embedding(layer):
            self.value_embed = nn.Embedding(config.vocab_size, width)
            self.value_gate = nn.Linear(self.gate_channels, config.heads, bias=False)

    def __call__(self, x: mx.array, tokens: mx.array) -> mx.array:
        """Mix each position of x (rows, T, width) with those it may see."""
        rows, length, width = x.shape
        by_head = (rows, length, self.heads, width // self.heads)
        q, k, v = (layer(x).reshape(by_head) for layer in (self.c_q, self.c_k, self.c_v))
        if "value_embed" in self:
            gate = 2 * mx.sigmoid(self.value_gate(x[..., : self.gate_channels]))
            v = v + gate[..., None] * self.value_embed(tokens).reshape(by_head)
        q, k, v = (heads.transpose(0, 2, 1, 3) for heads in (q, k, v))
        q, k = norm(self.rope(q)), norm(self.rope(k))
        mask = attention_mask(length, self.window, q.dtype)
        scale = by_head[-1] ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=mask)
        return self.c_proj(y.transpose(0, 2, 1, 3).reshape(rows, length, width))


class MLP(nn.Module):
    """Two layers with a squared ReLU between them."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.width, 4 * config.width, bias=False)
        self.c_proj = nn.Linear(4 * config.width, config.width, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        """Work on each position of x (rows, T, width) alone."""
        return self.c_proj(mx.square(mx.maximum(self.c_fc(x), 0)))


class Block(nn.Module):
    """Attention, then the MLP, each added to the residual stream."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attn = Attention(config, layer)
        self.mlp = MLP(config)

    def __call__(self, x: mx.array, tokens: mx.array) -> mx.array:
        """Return the residual stream after this layer, (rows, T, width)."""
        x = x + self.attn(norm(x), tokens)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """Map token ids (rows, T) to logits (rows, T, vocabulary)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.width)
        self.blocks = [Block(config, layer) for layer in range(config.layers)]
        self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)
        # Before each block the stream is scaled, and some of the first embedding is added again.
        self.resid_scale = mx.ones(config.layers)
        self.x0_scale = mx.full(config.layers, 0.1)

    def init_weights(self) -> None:
        """Draw the first weights: blocks that write nothing yet, and a nearly even guess."""
        width = self.wte.weight.shape[1]
        bound = 3**0.5 * width**-0.5  # uniform in +-bound has standard deviation width**-0.5
        silent = ("c_proj.weight", "value_gate.weight")

        def draw(path: str, weight: mx.array) -> mx.array:
            if weight.ndim == 1:
                return weight
            if path.endswith(silent):
                return mx.zeros(weight.shape)
            if path == "wte.weight":
                return mx.random.normal(weight.shape)
            if path == "lm_head.weight":
                return 0.001 * mx.random.normal(weight.shape)
            return mx.random.uniform(-bound, bound, weight.shape)

        flat = by_path(self.parameters())
        self.load_weights([(path, draw(path, weight)) for path, weight in flat.items()])

    def __call__(self, tokens: mx.array) -> mx.array:
        """Return fp32 logits for the token after each position."""
        x = first = norm(self.wte(tokens))
        for layer, block in enumerate(self.blocks):
            x = self.resid_scale[layer] * x + self.x0_scale[layer] * first
            x = block(x, tokens)
        logits = self.lm_head(norm(x)).astype(mx.float32)
        return SOFTCAP * mx.tanh(logits / SOFTCAP) if SOFTCAP else logits


# ---------------------------------------------------------------------------------------------
# Optimizer: AdamW, with a learning rate for each group of parameters
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """How a group of parameters is trained."""

    lr: float
    betas: tuple[float, float] = BETAS
    weight_decay: float = 0.0


def group_of(path: str, width: int) -> Group:
    """Return the group of a parameter by its path; wider models get smaller steps outside."""
    outer = (width / 768) ** -0.5
    if path == "lm_head.weight":
        return Group(UNEMBEDDING_LR * outer)
    if path == "wte.weight" or "value_embed" in path:
        return Group(EMBEDDING_LR * outer)
    if path == "resid_scale":
        return Group(SCALAR_LR * 0.01)
    if path == "x0_scale":
        return Group(SCALAR_LR, betas=(0.96, 0.95))
    return Group(MATRIX_LR, weight_decay=WEIGHT_DECAY)


def adamw(
    group: Group, param: mx.array, grad: mx.array, state: list[mx.array], clock: mx.array
) -> tuple[mx.array, list[mx.array]]:
    """Take one AdamW step on one parameter (Loshchilov and Hutter, 2019).

    Args:
        group: The parameter's learning rate, betas and weight decay.
        param: The parameter.
        grad: Its gradient.
        state: The running means of the gradient and of its square.
        clock: The step, from 1, and the schedule's factor on the learning rate.

    Returns:
        The parameter and its state after the step.
    """
    (beta1, beta2), step, lr = group.betas, clock[0], group.lr * clock[1]
    mean = beta1 * state[0] + (1 - beta1) * grad
    square = beta2 * state[1] + (1 - beta2) * mx.square(grad)
    unbiased = mx.sqrt(square / (1 - beta2**step)) + 1e-10
    param = param * (1 - lr * group.weight_decay)
    return param - (lr / (1 - beta1**step)) * mean / unbiased, [mean, square]


def lr_factor(progress: float) -> float:
    """Return the factor on all learning rates after a share of the budget: up, level, down."""
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    left = min(1.0, (1.0 - progress) / WARMDOWN_RATIO) if WARMDOWN_RATIO else 1.0
    return left + (1.0 - left) * FINAL_LR_FRACTION


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


started = time.perf_counter()
mx.random.seed(42)
tokenizer = Tokenizer.from_directory()
rows = max(1, DEVICE_TOKENS // MAX_SEQ_LEN)
passes = max(1, BATCH_TOKENS // (rows * MAX_SEQ_LEN))  # whose gradients are added up in a step
step_tokens = passes * rows * MAX_SEQ_LEN

width = math.ceil(DEPTH * ASPECT_RATIO / HEAD_DIM) * HEAD_DIM
config = Config(tokenizer.get_vocab_size(), DEPTH, width // HEAD_DIM, width)
model = GPT(config)
model.init_weights()
params = model.parameters()
sizes = {path: param.size for path, param in by_path(params).items()}
groups = {path: group_of(path, width) for path in sizes}
moments = {path: [mx.zeros_like(p), mx.zeros_like(p)] for path, p in by_path(params).items()}
mx.eval(params, moments)
num_params = sum(sizes.values())
print(f"{DEVICE}: {num_params / 1e6:.1f} M parameters: depth {DEPTH}, width {width}, ", end="")
print(f"heads of {HEAD_DIM}; {passes} x {rows} rows of {MAX_SEQ_LEN} tokens a step")


def cast(params: dict) -> dict:
    """Return parameters in the type that the model computes in."""
    return tree_map(lambda param: param.astype(DTYPE), params)


def loss_fn(params: dict, inputs: mx.array, targets: mx.array) -> mx.array:
    """Return the mean nats per target, as this pass's share of the step."""
    model.update(cast(params))
    logits = model(inputs)
    # Written out because autodiff then reuses exp; the library's loss takes it twice.
    top = mx.stop_gradient(mx.max(logits, axis=-1, keepdims=True))
    total = mx.log(mx.sum(mx.exp(logits - top), axis=-1, keepdims=True)) + top
    chosen = mx.take_along_axis(logits, targets[..., None], axis=-1)
    return mx.mean(total - chosen) / passes


def update(params: dict, grads: dict, moments: dict, clock: mx.array) -> tuple[dict, dict]:
    """Take one optimizer step; return the new parameters and optimizer state."""
    grad = by_path(grads)
    stepped = {
        path: adamw(groups[path], param, grad[path], moments[path], clock)
        for path, param in by_path(params).items()
    }
    new_params: Any = tree_unflatten([(path, param) for path, (param, _) in stepped.items()])
    return new_params, {path: state for path, (_, state) in stepped.items()}


gradients = mx.value_and_grad(loss_fn)
if COMPILE:
    gradients, update = mx.compile(gradients), mx.compile(update)

loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")
step, seconds, last_shown, smooth_loss = 0, 0.0, -1.0, 0.0
training_started = time.perf_counter()
while True:
    step_started = time.perf_counter()
    inputs, targets, epoch = next(loader)
    loss, grads = gradients(params, inputs, targets)
    for _ in range(passes - 1):
        mx.async_eval(loss, grads)  # computes while the next rows are packed
        inputs, targets, epoch = next(loader)
        more_loss, more_grads = gradients(params, inputs, targets)
        loss, grads = loss + more_loss, tree_map(mx.add, grads, more_grads)
    factor = lr_factor(min(1.0, seconds / TIME_BUDGET))
    params, moments = update(params, grads, moments, mx.array([step + 1.0, factor]))
    mx.eval(loss, params, moments)

    step += 1
    now = time.perf_counter()
    if COMPILE and step == 1:
        training_started = now  # that step went into compiling: it is not charged
    seconds, step_seconds = now - training_started, now - step_started
    value: Any = loss.item()
    if not math.isfinite(value) or value > 100:
        print(f"\nFAIL: the loss is {value} at step {step}")
        sys.exit(1)
    smooth_loss = 0.9 * smooth_loss + 0.1 * value
    out_of_time = seconds > 0 and seconds + step_seconds > TIME_BUDGET
    if now - last_shown > 0.25 or out_of_time:
        last_shown = now
        print(
            f"\rstep {step:05d} ({min(1.0, seconds / TIME_BUDGET):.1%}) | "
            f"loss: {smooth_loss / (1 - 0.9**step):.4f} | lr: {factor:.2f} | "
            f"tok/s: {step_tokens / step_seconds:,.0f} | epoch: {epoch} | "
            f"remaining: {max(0.0, TIME_BUDGET - seconds):.0f}s   ",
            end="",
            flush=True,
        )
    if out_of_time:
        break
print()

# ---------------------------------------------------------------------------------------------
# Summary
# ---------------------------------------------------------------------------------------------

model.update(cast(params))
mx.eval(model.parameters())
val_bpb = evaluate_bpb(model, tokenizer, rows)

# Work on a token: 6 operations for each weight of a matrix, and 12 for each channel of each
# token attended to (Chowdhery et al., 2022, appendix B). Peak speeds are dense bf16, 0 = unknown.
weights = sum(n for path, n in sizes.items() if "embed" not in path and path != "wte.weight")
work = (6 * weights + 12 * width * sum(config.windows)) * step_tokens * (step - COMPILE) / seconds
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "M2 Max": 13.6e12, "M1 Max": 10.4e12}
name = str(mx.device_info()["device_name"])
peak = next((peak for model_name, peak in PEAKS.items() if model_name in name), 0.0)

print("---")
print(f"val_bpb: {val_bpb:.6f}")
print(f"training_seconds: {seconds:.1f}")
print(f"total_seconds: {time.perf_counter() - started:.1f}")
print(f"peak_vram_mb: {mx.get_peak_memory() / 2**20:.1f}")
print(f"mfu_percent: {100 * work / peak if peak else 0:.2f}")
print(f"total_tokens_M: {step * step_tokens / 1e6:.3f}")
print(f"num_steps: {step}")
print(f"num_params_M: {num_params / 1e6:.1f}")
print(f"depth: {DEPTH}")
