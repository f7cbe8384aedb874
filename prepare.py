"""The harness of the recipe: data, tokenizer, packing and evaluation. Nobody edits this file.

    python prepare.py                       prepare the data for this machine, once
    from prepare import MAX_SEQ_LEN, ...    what train.py builds on

Prepared data lives in one folder per data set under $AUTORESEARCH_CACHE (default
~/.cache/autoresearch). Its manifest.json is written last: a folder without one is unfinished.
Constants such as MAX_SEQ_LEN come from the settings of the run (the JSON file that
AUTORESEARCH_RUN names) or else from the newest data set this very file prepared.
"""

import argparse
import base64
import hashlib
import itertools
import json
import math
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

# ---------------------------------------------------------------------------------------------
# Constants
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Profile:
    """What a machine can afford. Chosen when the data is prepared, never by train.py."""

    name: str
    max_seq_len: int  # tokens in a training or evaluation row
    time_budget: float  # seconds of training
    hard_timeout: float  # seconds after which a run is killed
    eval_tokens: int  # tokens scored by evaluate_bpb, always the same ones
    vocab_size: int  # BPE tokens, the special ones included
    eval_micro_batch: int  # rows a forward pass scores; its fp32 logits stay under 2 GiB
    startup_allowance: float  # seconds a run may compile before its budget starts


PROFILES = {  # in the order of the fields above
    "full": Profile("full", 2048, 300, 900, 3 * 524288, 8192, 16, 60),
    "cpu": Profile("cpu", 256, 30, 180, 32768, 2048, 16, 0),
    "tiny": Profile("tiny", 64, 2, 60, 4096, 512, 16, 0),  # for tests only
}
SPLITS = ("train", "val", "holdout")
EVALUATION = {  # what is scored: by every run, and by a certificate alone
    "rows": "val/rows.npy",
    "holdout": "holdout/rows.npy",
    "token_bytes": "tokenizer/token_bytes.npy",
}
SPECIAL_TOKENS = tuple(f"<|reserved_{i}|>" for i in range(4))
BOS_TOKEN = SPECIAL_TOKENS[0]  # opens every document
# The pattern GPT-4's tokenizer splits text by, with numbers cut into pairs of digits.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)

BASE_URL = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
TRAIN_SHARDS = 6541  # ClimbMix shards 0 to 6540; then one for the holdout, one for validation
HOLDOUT_SHARD, VAL_SHARD = 6541, 6542
DOWNLOAD_ATTEMPTS = 6  # in a row without a byte of progress
BACKOFF_SECONDS = 1.0  # before the second attempt, doubled before each further one
TOKENIZER_CHARACTERS = 1_000_000_000  # the tokenizer learns from at most this much text ...
TOKENIZER_DOCUMENT = 10_000  # ... and from at most this much of one document

# Standard-library modules that a recipe has no use for. Validation and holdout are taken from
# whole modules of this list, in its order, so that a sandbox can hide those files from a run.
HOLDABLE_MODULES = """
    mailbox.py imaplib.py smtplib.py poplib.py ftplib.py nntplib.py telnetlib.py xmlrpc wsgiref
    xml/dom xml/sax curses dbm pickletools.py cgi.py cgitb.py aifc.py sunau.py wave.py smtpd.py
    asyncore.py asynchat.py trace.py profile.py pstats.py cProfile.py tabnanny.py pyclbr.py
    modulefinder.py webbrowser.py shelve.py sched.py http/server.py _pydecimal.py _pydatetime.py
    _pyio.py turtle.py turtledemo lib2to3 tkinter idlelib distutils
"""
HELD_OUT_SHARE = 0.2  # of the corpus, half of it for validation, half for the holdout
# Not prose of the library: tests, tables, build settings and other people's packages.
SKIPPED_FOLDERS = {
    "test", "tests", "idle_test", "__pycache__", "site-packages", "dist-packages",
    "encodings", "lib-dynload", "pydoc_data", "ensurepip",
}  # fmt: skip


class PrepareError(SystemExit):
    """A mistake that a person can put right; ends a script with one line, not a traceback."""


# ---------------------------------------------------------------------------------------------
# The settings of this run
# ---------------------------------------------------------------------------------------------


@cache
def harness_sha256() -> str:
    """Return the hash of this file: data belongs to the exact harness that prepared it."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def cache_folder() -> Path:
    """Return the folder that holds all prepared data."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or "~/.cache/autoresearch").expanduser()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a prepared folder, or None where it is missing or not ours."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return None
    belongs = isinstance(manifest, dict) and manifest.get("harness_sha256") == harness_sha256()
    return manifest if belongs else None


def newest_prepared(under: Path) -> tuple[Path | None, Profile]:
    """Return the newest data set under a cache folder that this harness prepared."""
    found = [(read_manifest(path.parent), path.parent) for path in under.glob("*/manifest.json")]
    dated = [(manifest["created_at"], folder, manifest) for manifest, folder in found if manifest]
    if not dated:
        return None, PROFILES["cpu"]
    _, folder, manifest = max(dated, key=lambda entry: entry[0])
    return folder, Profile(**manifest["profile"])


def settings() -> dict[str, Any]:
    """Return what a server tells this run, or the same as it is without one."""
    if run := os.environ.get("AUTORESEARCH_RUN"):
        given = json.loads(Path(run).read_bytes())
        return {**given, "data": Path(given["data"]), "profile": Profile(**given["profile"])}
    folder, profile = newest_prepared(cache_folder())
    return {"data": folder, "profile": profile, "time_budget": profile.time_budget}


GIVEN = settings()
DATA: Path | None = GIVEN["data"]  # folder of the prepared data
PROFILE: Profile = GIVEN["profile"]
TIME_BUDGET: float = GIVEN["time_budget"]  # seconds of training
SUPERVISOR: int | None = GIVEN.get("handover_fd")  # descriptor that leads to the server
LENT: str | None = GIVEN.get("lent")  # folder of its modules, where the server evaluates
MAX_SEQ_LEN = PROFILE.max_seq_len  # tokens of context
EVAL_TOKENS = PROFILE.eval_tokens  # validation tokens scored at the end
VOCAB_SIZE = PROFILE.vocab_size


@cache
def tell(event: str) -> None:
    """Tell the run's supervisor, where there is one, how far the run is; each event once.

    Its clock between `batch` and `handover` is the one that the training budget is held to.
    """
    if SUPERVISOR is not None:
        os.write(SUPERVISOR, f"{event}\n".encode())


def data_file(name: str) -> Path:
    """Return a prepared file, its size checked against the manifest.

    Raises:
        PrepareError: If nothing is prepared, or the file is missing or has another size.
    """
    manifest = read_manifest(DATA) if DATA else None
    if DATA is None or manifest is None:
        raise PrepareError("no prepared data: run `python prepare.py`")
    path = DATA / name
    if not path.is_file() or path.stat().st_size != manifest["files"][name]["size"]:
        raise PrepareError(f"{path} is missing or damaged: run `python prepare.py` again")
    return path


# ---------------------------------------------------------------------------------------------
# Tokenizer
# ---------------------------------------------------------------------------------------------


class Tokenizer:
    """The BPE tokenizer of the prepared data."""

    def __init__(self, enc: Any) -> None:
        self.enc = enc  # a tiktoken.Encoding
        self.bos_token_id: int = enc.encode_single_token(BOS_TOKEN)

    @classmethod
    def from_directory(cls, tokenizer_dir: str | Path | None = None) -> "Tokenizer":
        """Load the tokenizer of a folder, by default that of the prepared data."""
        import tiktoken

        folder = tokenizer_dir or data_file("tokenizer/tokenizer.json").parent
        stored = json.loads((Path(folder) / "tokenizer.json").read_bytes())
        stored["mergeable_ranks"] = {
            base64.b64decode(token): rank for rank, token in enumerate(stored.pop("tokens"))
        }
        return cls(tiktoken.Encoding("autoresearch", **stored))

    def get_vocab_size(self) -> int:
        """Return the number of tokens, special ones included."""
        return self.enc.n_vocab

    def get_bos_token_id(self) -> int:
        """Return the token that opens every document."""
        return self.bos_token_id

    def encode(
        self, text: str | list[str], prepend: int | str | None = None, num_threads: int = 8
    ) -> Any:
        """Return the token ids of a text, or of each of many, with a token put before each."""
        if not isinstance(text, str | list):
            raise TypeError(f"cannot encode a {type(text).__name__}: give a str or a list of str")
        first = self.enc.encode_single_token(prepend) if isinstance(prepend, str) else prepend
        head: list[int] = [] if first is None else [first]
        if isinstance(text, str):
            return head + self.enc.encode_ordinary(text)
        return [head + ids for ids in self.enc.encode_ordinary_batch(text, num_threads=num_threads)]

    def decode(self, ids: list[int]) -> str:
        """Return the text of token ids."""
        return self.enc.decode(ids)


def get_token_bytes() -> mx.array:
    """Return the length in bytes of each token, 0 for special ones; shape (vocabulary,)."""
    return mx.array(np.load(data_file("tokenizer/token_bytes.npy")))


def train_tokenizer(texts: Iterable[str], vocab_size: int, folder: Path) -> Tokenizer:
    """Learn a BPE tokenizer from texts and store it, with the bytes of each token, in a folder."""
    import rustbpe

    ordinary = vocab_size - len(SPECIAL_TOKENS)
    learner = rustbpe.Tokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    learner.train_from_iterator(iter(texts), ordinary, pattern=SPLIT_PATTERN)
    ranked = sorted(learner.get_mergeable_ranks(), key=lambda pair: pair[1])
    tokens = [bytes(token) for token, _ in ranked]
    stored = {
        "pat_str": SPLIT_PATTERN,
        "special_tokens": {name: len(tokens) + i for i, name in enumerate(SPECIAL_TOKENS)},
        "tokens": [base64.b64encode(token).decode() for token in tokens],  # in the order of rank
    }
    folder.mkdir()
    write_json(folder / "tokenizer.json", stored)
    # A token may be a lone byte of a longer character, so count bytes, not decoded characters.
    lengths = [len(token) for token in tokens] + [0] * len(SPECIAL_TOKENS)
    np.save(folder / "token_bytes.npy", np.array(lengths, dtype=np.int32))
    return Tokenizer.from_directory(folder)


# ---------------------------------------------------------------------------------------------
# Packing: the one way from documents to rows, for training and validation alike
# ---------------------------------------------------------------------------------------------

Rows = Iterator[tuple[np.ndarray, int]]  # a row and the epoch it was read in


def packed_rows(
    tokens: np.ndarray, offsets: np.ndarray, capacity: int, buffer_size: int = 1000
) -> Rows:
    """Pack documents into full rows by best fit, for ever; no padding.

    A row takes the largest buffered document that fits the room left, the earliest of equals.
    When none fits, the shortest document is cropped to the room and its rest is dropped. So
    every row starts at the start of a document. The buffer is refilled in the order of the file.

    Args:
        tokens: All documents end to end, each opened by the BOS token.
        offsets: Where each document starts, and the end of the last one.
        capacity: Tokens in a row.
        buffer_size: Documents to choose from; a quarter of them all at most, lest a short
            document of a small split be read again, and chosen again, while longer ones wait.

    Yields:
        A row of shape (capacity,), int32, and the epoch of the last document read, from 1.
    """
    lengths = np.diff(offsets)
    documents = len(lengths)
    buffer_size = max(1, min(buffer_size, documents // 4))
    buffer: list[tuple[int, int]] = []  # (length, arrival), sorted
    arrivals = 0
    while True:
        row = np.empty(capacity, dtype=np.int32)
        filled = 0
        while filled < capacity:
            while len(buffer) < buffer_size:
                insort(buffer, (int(lengths[arrivals % documents]), arrivals))
                arrivals += 1
            room = capacity - filled
            fitting = bisect_right(buffer, (room, arrivals))
            best = bisect_left(buffer, (buffer[fitting - 1][0], 0)) if fitting else 0
            length, arrival = buffer.pop(best)
            start, taken = int(offsets[arrival % documents]), min(length, room)
            row[filled : filled + taken] = tokens[start : start + taken]
            filled += taken
        yield row, (arrivals - 1) // documents + 1


def split_rows(split: str, seq_len: int, buffer_size: int = 1000) -> Rows:
    """Pack a prepared split into rows of seq_len inputs and the target of the last one."""
    tokens = np.load(data_file(f"{split}/tokens.npy"), mmap_mode="r")
    offsets = np.load(data_file(f"{split}/offsets.npy"), mmap_mode="r")
    return packed_rows(tokens, offsets, seq_len + 1, buffer_size)


def make_dataloader(
    tokenizer: Tokenizer,  # noqa: ARG001
    batch_size: int,
    seq_len: int,
    split: str,
    buffer_size: int = 1000,
) -> Iterator[tuple[mx.array, mx.array, int]]:
    """Return an iterator over (inputs, targets, epoch); the arrays are int32, (batch, seq_len).

    Args:
        tokenizer: Not used: documents were tokenised when the data was prepared.
        batch_size: Rows in a batch.
        seq_len: Tokens in a row.
        split: "train" or "val", which only a run that evaluates its own model can read.
        buffer_size: Documents that packing chooses from.
    """
    if split not in ("train", "val"):
        raise ValueError(f'split is "train" or "val", not {split!r}')
    if split == "val" and LENT:
        raise PrepareError("validation data is not in this run: the server evaluates the model")
    rows = split_rows(split, seq_len, buffer_size)

    def batches() -> Iterator[tuple[mx.array, mx.array, int]]:
        if split == "train":
            tell("batch")
        while True:
            packed, epochs = zip(*itertools.islice(rows, batch_size), strict=True)
            array = mx.array(np.stack(packed))
            yield array[:, :-1], array[:, 1:], epochs[-1]

    return batches()


# ---------------------------------------------------------------------------------------------
# Evaluation
# ---------------------------------------------------------------------------------------------

Model = Callable[[mx.array], mx.array]  # token ids (rows, T) -> logits (rows, T, vocabulary)


def token_nats(model: Model, inputs: mx.array, targets: mx.array, vocab_size: int) -> np.ndarray:
    """Return the nats a model needs for each target; the softmax is taken here, in fp32."""
    logits = model(inputs)
    expected = (*inputs.shape, vocab_size)
    if not isinstance(logits, mx.array) or logits.shape != expected:
        got = logits.shape if isinstance(logits, mx.array) else type(logits).__name__
        raise PrepareError(f"model(inputs) must return logits of shape {expected}, not {got}")
    logits = logits.astype(mx.float32)
    chosen = mx.take_along_axis(logits, targets[..., None], axis=-1).squeeze(-1)
    return np.array(mx.logsumexp(logits, axis=-1) - chosen, dtype=np.float64)


def score_rows(model: Model, rows: np.ndarray, token_bytes: np.ndarray) -> float:
    """Return the bits per byte of a model on rows; nan where the model is not finite.

    Targets without bytes (special tokens) count neither as nats nor as bytes. The micro-batch is
    the profile's, so that the same rows always give the same number.

    Args:
        model: Maps token ids to logits.
        rows: Token ids, (rows, T + 1): T inputs and, one place on, T targets.
        token_bytes: Bytes of each token of the vocabulary.
    """
    nats, size = 0.0, 0
    for start in range(0, len(rows), PROFILE.eval_micro_batch):
        part = rows[start : start + PROFILE.eval_micro_batch]
        lengths = token_bytes[part[:, 1:]]
        each = token_nats(model, mx.array(part[:, :-1]), mx.array(part[:, 1:]), len(token_bytes))
        nats += float(each[lengths > 0].sum())
        size += int(lengths.sum())
    return nats / (math.log(2) * size) if math.isfinite(nats) else math.nan


def evaluation_rows() -> np.ndarray:
    """Return the rows that are scored, in order; shape (rows, MAX_SEQ_LEN + 1)."""
    return np.load(data_file(EVALUATION["rows"])).astype(np.int32)


def evaluate_bpb(model: Model, tokenizer: Tokenizer, batch_size: int) -> float:  # noqa: ARG001
    """Return the validation bits per byte of a model: the metric, lower is better.

    The same EVAL_TOKENS tokens are scored whatever tokenizer and batch size are given; both
    arguments are part of the call for the sake of recipes written elsewhere. In a server's run
    the model itself is handed over: the server scores it where nothing else is, in the same
    micro-batches, and the first model counts.
    """
    tell("handover")
    if LENT and SUPERVISOR is not None:
        sys.path.append(LENT)
        from autoresearch_handover import hand_over  # pyright: ignore[reportMissingImports]

        return hand_over(SUPERVISOR, model)
    return score_rows(model, evaluation_rows(), np.array(get_token_bytes()))


# ---------------------------------------------------------------------------------------------
# Preparing: documents -> tokenizer and token files -> manifest
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents by split, and what tells one corpus from another."""

    source: str
    fingerprint: str
    documents: Callable[[str], Iterable[str]]  # split -> its documents, in a fixed order
    masked: tuple[str, ...] = ()  # files of this machine that validation and holdout come from


def cut_documents(text: str, size: int) -> Iterator[str]:
    """Cut a text at blank lines into documents of about `size` characters."""
    document = ""
    for block in text.split("\n\n"):
        document += block + "\n\n"
        if len(document) >= size:
            yield document
            document = ""
    if document.strip():
        yield document


def library_files(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the modules of a standard library to train on, and those to hold out, whole."""
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if not SKIPPED_FOLDERS.intersection(path.relative_to(root).parts[:-1])
        and not path.relative_to(root).parts[0].startswith(("config-", "_sysconfigdata"))
    ]
    wanted = HELD_OUT_SHARE * sum(path.stat().st_size for path in files)
    held: list[Path] = []
    for module in HOLDABLE_MODULES.split():
        if sum(path.stat().st_size for path in held) < wanted:
            held += [path for path in files if root / module in (path, *path.parents)]
    return [path for path in files if path not in held], held


def embedded_corpus(profile: Profile) -> Corpus:
    """Read the interpreter's own standard library, a corpus that every machine has.

    Documents are put in the order of their hash, a fixed shuffle. A document seen twice is kept
    once, for training first, so no text of validation or holdout is ever trained on.
    """
    root = Path(sysconfig.get_path("stdlib")).resolve()
    trained, held = library_files(root)
    if not trained or not held:
        raise PrepareError(f"no Python sources under {root}: use `--source climbmix`")
    size = min(4000, 4 * profile.max_seq_len)  # about a row's worth, so that little is cropped
    seen: set[str] = set()
    content = hashlib.sha256()

    def documents(paths: list[Path]) -> list[str]:
        found: dict[str, str] = {}
        for path in paths:
            raw = path.read_bytes()
            content.update(f"{path.relative_to(root).as_posix()} {len(raw)}\n".encode() + raw)
            for text in cut_documents(raw.decode("utf-8", errors="replace"), size):
                found[hashlib.sha256(text.encode()).hexdigest()] = text
        fresh = [found[key] for key in sorted(found.keys() - seen)]
        seen.update(found)
        return fresh

    training, unseen = documents(trained), documents(held)
    splits = {"train": training, "val": unseen[0::2], "holdout": unseen[1::2]}
    return Corpus(
        source="embedded",
        fingerprint=f"python-{sys.version.split()[0]}-{content.hexdigest()}",
        documents=splits.__getitem__,
        masked=tuple(map(str, held)),
    )


def climbmix_corpus(num_shards: int, base_url: str, under: Path) -> Corpus:
    """Download ClimbMix shards, those already here excepted, and read them as a corpus."""
    if not 1 <= num_shards <= TRAIN_SHARDS:
        raise PrepareError(f"--num-shards is 1 to {TRAIN_SHARDS}, not {num_shards}")
    try:
        import httpx2  # noqa: F401
        import pyarrow.parquet as pq
    except ImportError as missing:
        raise PrepareError(f"--source climbmix needs the package {missing.name}") from None

    shards = {"train": list(range(num_shards)), "val": [VAL_SHARD], "holdout": [HOLDOUT_SHARD]}
    names = {split: [f"shard_{i:05d}.parquet" for i in ids] for split, ids in shards.items()}
    folder = under / "climbmix"
    hashes = download([name for split in SPLITS for name in names[split]], base_url, folder)

    def documents(split: str) -> Iterator[str]:
        for name in names[split]:
            for batch in pq.ParquetFile(folder / name).iter_batches(256, columns=["text"]):
                yield from batch.column(0).to_pylist()

    listing = json.dumps(hashes, sort_keys=True)
    fingerprint = f"{num_shards}-shards-{hashlib.sha256(listing.encode()).hexdigest()}"
    return Corpus(source="climbmix", fingerprint=fingerprint, documents=documents)


def limited(texts: Iterable[str]) -> Iterator[str]:
    """Limit the text that the tokenizer learns from."""
    left = TOKENIZER_CHARACTERS
    for text in texts:
        yield text[:TOKENIZER_DOCUMENT]
        left -= len(text[:TOKENIZER_DOCUMENT])
        if left <= 0:
            return


def write_split(tokenizer: Tokenizer, documents: Iterable[str], folder: Path) -> None:
    """Tokenise a split into tokens.npy (uint16) and offsets.npy (int64), see packed_rows."""
    folder.mkdir()
    stream, offsets = iter(documents), [0]
    layout = {"descr": "<u2", "fortran_order": False}
    with (folder / "tokens.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**layout, "shape": (0,)})
        while batch := list(itertools.islice(stream, 1024)):
            for ids in tokenizer.encode(batch, tokenizer.bos_token_id, os.cpu_count() or 1):
                file.write(np.array(ids, dtype="<u2").tobytes())
                offsets.append(offsets[-1] + len(ids))
        file.seek(0)  # NumPy pads its header so that the shape may grow
        np.lib.format.write_array_header_1_0(file, {**layout, "shape": (offsets[-1],)})
    np.save(folder / "offsets.npy", np.array(offsets, dtype=np.int64))


def write_evaluation(folder: Path, profile: Profile) -> None:
    """Pack the rows that are scored, once and for all: rows.npy (uint16) of each split."""
    count = profile.eval_tokens // profile.max_seq_len
    for name in ("rows", "holdout"):
        split = (folder / EVALUATION[name]).parent
        tokens, offsets = (np.load(split / f"{name}.npy") for name in ("tokens", "offsets"))
        packed = packed_rows(tokens, offsets, profile.max_seq_len + 1)
        rows = [row for row, _ in itertools.islice(packed, count)]
        np.save(folder / EVALUATION[name], np.stack(rows).astype("<u2"))


def describe(path: Path) -> dict[str, Any]:
    """Return the size and hash of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def contents(folder: Path) -> dict[str, Any]:
    """Describe every file of a data set but its manifest."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: describe(path) for name, path in named.items() if name != "manifest.json"}


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step: the old one or the new one is there, never half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1))
    temporary.replace(path)


def now() -> str:
    """Return the time, so that text order is time order."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def say(text: str) -> None:
    """Tell the person who waits; the result alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def build(corpus: Corpus, profile: Profile, data_id: str, folder: Path) -> None:
    """Write a data set into an empty folder, its manifest last."""
    say("training the tokenizer ...")
    texts = limited(corpus.documents("train"))
    tokenizer = train_tokenizer(texts, profile.vocab_size, folder / "tokenizer")
    for split in SPLITS:
        say(f"tokenising {split} ...")
        write_split(tokenizer, corpus.documents(split), folder / split)
    write_evaluation(folder, profile)
    files = contents(folder)
    manifest = {
        "format": 1,
        "data_id": data_id,
        "source": corpus.source,
        "created_at": now(),
        "profile": asdict(profile),
        "harness_sha256": harness_sha256(),
        "corpus": corpus.fingerprint,
        "tokenizer_sha256": files["tokenizer/tokenizer.json"]["sha256"],
        "masked": list(corpus.masked),
        "evaluation": EVALUATION,
        "rankable": (corpus.source, profile.name) != ("embedded", "full"),
        "files": files,
    }
    write_json(folder / "manifest.json", manifest)


def prepare(corpus: Corpus, profile: Profile, under: Path) -> Path:
    """Make sure that a data set is there, whole and the newest; return its folder."""
    determined_by = [1, harness_sha256(), corpus.source, corpus.fingerprint, asdict(profile)]
    digest = hashlib.sha256(json.dumps(determined_by).encode()).hexdigest()
    folder = under / f"{corpus.source}-{profile.name}-{digest[:12]}"
    manifest = read_manifest(folder)
    if manifest and manifest["files"] == contents(folder):
        if newest_prepared(under)[0] != folder:  # runs use what was asked for last
            write_json(folder / "manifest.json", {**manifest, "created_at": now()})
        return folder
    if folder.exists():
        say(f"{folder} is unfinished or damaged: building it again")
        shutil.rmtree(folder)
    under.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=under) as temporary:
        fresh = Path(temporary) / folder.name
        fresh.mkdir()
        build(corpus, profile, folder.name, fresh)
        fresh.rename(folder)
    return folder


# ---------------------------------------------------------------------------------------------
# Downloading
# ---------------------------------------------------------------------------------------------


def fetch_once(client: Any, url: str, part: Path, report: Callable[..., Any]) -> bool:
    """Continue a download where it stopped; return whether the file is complete now."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # nothing lies past what is here: start again
            part.unlink()
            return False
        response.raise_for_status()
        if not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
            have = 0  # the server sends the whole file
        expected = have + int(response.headers["content-length"])
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                report(completed=file.tell(), total=expected)
    return part.stat().st_size == expected


def fetch(client: Any, url: str, target: Path, report: Callable[..., Any]) -> None:
    """Download a file; try again, with doubling pauses, while the server may recover."""
    import httpx2

    part, failures, reached = target.with_suffix(".part"), 0, 0
    while True:
        problem = "the transfer ended early"
        try:
            if fetch_once(client, url, part, report):
                break
        except httpx2.HTTPStatusError as error:
            problem = f"the server answered {error.response.status_code}"
            if error.response.status_code not in (408, 429, 500, 502, 503, 504):
                raise PrepareError(f"{url}: {problem}") from None
        except httpx2.TransportError as error:
            problem = str(error) or type(error).__name__
        size = part.stat().st_size if part.exists() else 0
        failures, reached = (0, size) if size > reached else (failures + 1, reached)
        if failures >= DOWNLOAD_ATTEMPTS:
            raise PrepareError(f"{url}: {problem}; run the same command again to resume")
        time.sleep(BACKOFF_SECONDS * 2 ** max(0, failures - 1))
    with part.open("rb") as file:
        if file.read(4) == b"PAR1":  # how every parquet file begins
            part.replace(target)
            return
    part.unlink()
    raise PrepareError(f"{url} is not a parquet file: check --base-url")


def download(names: list[str], base_url: str, folder: Path) -> dict[str, str]:
    """Bring shards into a folder, with a progress bar; return their sha256 by name."""
    import httpx2
    from rich import progress as bars
    from rich.console import Console

    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "shards.json"
    known = json.loads(index.read_text()) if index.exists() else {}
    columns = (*bars.Progress.get_default_columns(), bars.DownloadColumn())
    with (
        httpx2.Client(follow_redirects=True, timeout=30) as client,
        bars.Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        for name in names:
            path, url = folder / name, f"{base_url.rstrip('/')}/{name}"
            if not path.exists() or path.stat().st_size != known.get(name, {}).get("size"):
                fetch(client, url, path, partial(progress.update, progress.add_task(name)))
                known[name] = describe(path)
                write_json(index, known)
    return {name: known[name]["sha256"] for name in names}


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Prepare data and tokenizer for train.py.")
    add = parser.add_argument
    add("--source", choices=("embedded", "climbmix"), default="embedded",
        help="embedded: the standard library's own sources; climbmix: a download")  # fmt: skip
    add("--profile", choices=tuple(PROFILES), metavar="{full,cpu}",
        help="default: full for climbmix where there is a GPU, else cpu")  # fmt: skip
    add("--num-shards", type=int, default=10, metavar="N", help="climbmix: shards to train on")
    add("--base-url", default=BASE_URL, metavar="URL", help="climbmix: where the shards are")
    add("--cache", type=Path, default=cache_folder(), metavar="DIR", help="where data is kept")
    add("--json", action="store_true", help="print the summary as one JSON object")
    return parser.parse_args()


def main() -> None:
    """Prepare data as the command line says and print what came of it."""
    started, args = time.perf_counter(), arguments()
    under = args.cache.expanduser().resolve()
    on_gpu = mx.metal.is_available() or mx.cuda.is_available()
    fitting = "full" if on_gpu and args.source == "climbmix" else "cpu"
    profile = PROFILES[args.profile or fitting]
    if args.source == "embedded":
        corpus = embedded_corpus(profile)
    else:
        corpus = climbmix_corpus(args.num_shards, args.base_url, under)
    folder = prepare(corpus, profile, under)
    if args.source == "embedded" and profile.name == "full":
        say("note: this corpus is too small for profile full; its results are not ranked. "
            "Use --source climbmix.")  # fmt: skip
    elif on_gpu and fitting == "cpu" and args.profile is None:
        say("note: prepared for profile cpu; this machine could train profile full, but the "
            "embedded corpus is too small for it. Use --source climbmix.")  # fmt: skip
    summary: dict[str, Any] = {
        "data_id": folder.name,
        "folder": str(folder),
        "profile": profile.name,
        "source": args.source,
        "tokens": {split: int(np.load(folder / split / "offsets.npy")[-1]) for split in SPLITS},
        "seconds": round(time.perf_counter() - started, 1),
    }
    counts = ", ".join(f"{split} {count:,}" for split, count in summary["tokens"].items())
    shown = {**summary, "tokens": counts}
    lines = (f"{key + ':':9} {value}" for key, value in shown.items())
    print(json.dumps(summary) if args.json else "\n".join(lines))


if __name__ == "__main__":
    main()
