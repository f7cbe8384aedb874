"""Name the kind of a crash from the end of its log, and say what to try next.

The log is untrusted, so the class is advice to the agent and never a reason to keep anything.
"""

import re
from typing import Literal, NamedTuple

from autoresearch_mcp.core.logtext import readable

ErrorClass = Literal["syntax", "import", "shape", "nan", "oom", "killed", "handover", "other"]

MemoryKind = Literal["metal", "cuda", "host", "killed"]

CRASH_HINTS: dict[ErrorClass, str] = {
    "syntax": "Fix the syntax at the line named in the log, then run the trial again.",
    "import": "Import only what the recipe's environment has; new dependencies are not allowed.",
    "shape": "Two array shapes do not fit; follow the traceback to the line that you changed.",
    "nan": "Training diverged; lower the learning rate or undo what made it unstable.",
    "oom": "Use less memory: a smaller device batch first, then a smaller model.",
    "killed": "The process was killed from outside, most often for memory; make it smaller.",
    "handover": "Train, then call evaluate_bpb(model, tokenizer, batch_size) of prepare.py once, "
    "with a model that is made of arrays, modules and functions; the server evaluates it.",
    "other": "Read the end of the log, fix the cause and run again, or try another idea.",
}
MEMORY_WORDS: dict[MemoryKind, str] = {
    "metal": "the GPU's memory, or Metal's longest buffer, was too small",
    "cuda": "the GPU's memory (CUDA) was full",
    "host": "the run's share of main memory was full",
    "killed": "killed from outside, on Linux most often by the kernel for memory",
}
_METAL = re.compile(r"metal|IOGPU|maximum allowed buffer size", re.IGNORECASE)
_CUDA = re.compile(r"cuda", re.IGNORECASE)
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Group|Iteration)(?:: .*)?"
)
_NATIVE = re.compile(r".*(?:terminating due to uncaught exception|terminate called|\bwhat\(\):).*")
_DIVERGED = re.compile(
    r"FAIL|.*\b(?:loss|grad\w*)\b.*\b(?:nan|inf|diverged|exploded)\b.*", re.IGNORECASE
)
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_IMPORT = ("ImportError", "ModuleNotFoundError")
_OOM = re.compile(
    r"MemoryError|bad_alloc|out of memory|OutOfMemory|insufficient memory|unable to allocate"
    r"|attempting to allocate|\[\w*malloc\w*\]|cudaMalloc\w*.* failed",
    re.IGNORECASE,
)
_SHAPE = re.compile(
    r"^(?:ValueError|IndexError|RuntimeError|TypeError|AssertionError): (?:"
    r"\[(?:matmul|addmm|broadcast_shapes|reshape|concatenate|stack|squeeze|split|conv|einsum)\]"
    r"|.*\b(?:shapes?|dimensions?|axis|axes|broadcast|last dim)\b)",
    re.IGNORECASE,
)
_NAN = re.compile(r"FloatingPointError|\b(?:nan|not finite|non-finite|diverged)\b", re.IGNORECASE)
# Numbers that Linux and macOS share.
_SIGNALS = {
    4: "SIGILL",
    6: "SIGABRT",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
}
_KILL = 9
_MAX_REASON = 300
_MAX_LINE = 1000
_MAX_BYTES = 1 << 16


class Crash(NamedTuple):
    """What kind of crash it was and, in one line of safe text, why."""

    error_class: ErrorClass
    reason: str


def classify_crash(log: bytes, exit_code: int | None) -> Crash:
    r"""Tell what kind of crash ended a run; `CRASH_HINTS` has what to try next.

    The last exception in the log decides; without one, the signal that killed the process.

    Args:
        log: The raw log, or its end; the last 64 KiB are read.
        exit_code: The exit status; minus the signal's number when a signal ended the process;
            None if unknown.

    Example:
        >>> classify_crash(b"ValueError: [reshape] Cannot reshape array of size 6\n", 1)
        Crash(error_class='shape', reason='ValueError: [reshape] Cannot reshape array of size 6')
    """
    lines = [line.strip()[:_MAX_LINE] for line in readable(log[-_MAX_BYTES:]).split("\n")]
    reason = _last(_EXCEPTION, lines) or _last(_NATIVE, lines)
    if reason and not reason.startswith(("SystemExit", "KeyboardInterrupt")):
        return Crash(_class_of(reason), reason[:_MAX_REASON])
    if exit_code is not None and exit_code < 0:
        return Crash("killed", f"killed by signal {_SIGNALS.get(-exit_code, -exit_code)}")
    if diverged := _last(_DIVERGED, lines):
        return Crash("nan", f"the recipe gave up: {diverged}"[:_MAX_REASON])
    if exit_code == 0:
        return Crash("other", "the process ended normally but printed no metric")
    return Crash("other", f"exit status {exit_code} and no exception in the log")


def memory_kind(error_class: str | None, reason: str, exit_code: int | None) -> MemoryKind | None:
    """Tell which memory was short for a run that ended so; None where memory was not the cause.

    Example:
        >>> memory_kind("oom", "RuntimeError: [metal::malloc] Attempting to allocate 9 bytes", 1)
        'metal'
    """
    if error_class == "killed" and exit_code == -_KILL:
        return "killed"
    if error_class != "oom":
        return None
    if _METAL.search(reason):
        return "metal"
    return "cuda" if _CUDA.search(reason) else "host"


def _last(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next((line for line in reversed(lines) if pattern.fullmatch(line)), None)


def _class_of(reason: str) -> ErrorClass:
    name = reason.partition(":")[0].rpartition(".")[2]
    if name in _SYNTAX:
        return "syntax"
    if name in _IMPORT:
        return "import"
    if _OOM.search(reason):
        return "oom"
    if _SHAPE.search(reason):
        return "shape"
    return "nan" if _NAN.search(reason) else "other"
