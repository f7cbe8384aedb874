"""The kinds of things that go wrong, one look, one truth.

Outcome    a trial crashed, timed out, printed nothing   data (core/trial.py), never raised
Refusal    the agent can do better                       raised; the agent reads the message
Fault      a person must act                             raised; one line on stderr, exit 3
(a bug)    anything else                                 not caught; logged with its traceback
"""


class Refusal(Exception):
    """Raised when a request breaks a rule that the agent can obey on its next try.

    Args:
        code: Where the rule lives, dotted and stable: `surface.path`, `edit.match`, `session.busy`.
        message: What is wrong and what to do instead, in plain words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Fault(Exception):
    """Raised when the world is not as it must be and only a person can mend it.

    A bad protocol.json, a harness that changed, a branch that was moved. The message says what was
    found and what the person can do about it.
    """
