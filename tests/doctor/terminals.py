"""Commands in terminals of tmux, 80 by 24, and a person at their keyboards."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# The last is the one in use. Each has a name of its own: a server that was told to end still takes
# the next one's session, and ends with it.
_servers = [f"recorderd-doctor-{os.getpid()}"]
COLUMNS, ROWS, HISTORY = 80, 24, 5000


def tmux(*words):
    done = subprocess.run(
        ["tmux", "-L", _servers[-1], "-f", "/dev/null", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def end_all():
    """The server is ours alone."""
    subprocess.run(["tmux", "-L", _servers[-1], "kill-server"], capture_output=True, check=False)
    _servers.append(f"{_servers[0]}-{len(_servers)}")


class Terminal:
    """One command; `answers` by a part of the question, Enter for all others. None is Ctrl-C.

    `deeds` are done once, when their text is shown.
    """

    def __init__(self, name, arguments, answers, environment=None, deeds=None):
        self.name, self.answers = name, answers
        self.deeds = dict(deeds or {})
        self.asked = []
        self._answered_at = None
        words = " ".join(f"{key}={shlex.quote(text)}" for key, text in (environment or {}).items())
        command = f"env {words} {sys.executable} -m recorderd {arguments}"
        command += '; code=$?; echo; echo "exit=$code"; sleep 600'
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        tmux("new-session", "-d", "-s", name, *size, "-c", str(ROOT), command)
        tmux("set-option", "-t", name, "history-limit", str(HISTORY))

    def text(self):
        """All that was ever shown."""
        return tmux("capture-pane", "-p", "-t", self.name, "-S", "-").rstrip("\n")

    @property
    def exit_code(self):
        found = re.search(r"^exit=(\d+)$", self.text(), re.MULTILINE)
        return None if found is None else int(found[1])

    def attend(self):
        """Answer the question that is open, if there is one; whether the command goes on."""
        text = self.text()
        for said in [each for each in self.deeds if each in " ".join(text.split())]:
            self.deeds.pop(said)()
        if re.search(r"^exit=\d+$", text, re.MULTILINE):
            return False
        where = (len(text), text[-80:])
        if is_question(text) and where != self._answered_at:
            self._answered_at = where
            self._answer(" ".join(text.split("\n")[-3:]))
        return True

    def _answer(self, question):
        self.asked.append(question)
        answer = next((self.answers[part] for part in self.answers if part in question), "")
        if answer is None:
            tmux("send-keys", "-t", self.name, "C-c")
        else:
            tmux("send-keys", "-t", self.name, answer, "Enter")


def is_question(text):
    """The last line asks something, and the cursor waits behind it."""
    last = text.split("\n")[-1].rstrip()
    return last.endswith(("[Y/n]", "[y/N]")) or bool(
        re.search(r"(\(Enter: [^)]*\)|press Enter when it is lifted\.)$", last)
    )


def attend_all(terminals, limit_s):
    """Sit at all keyboards until every command has ended."""
    until = time.monotonic() + limit_s
    going = list(terminals)
    while going:
        going = [each for each in going if each.attend()]
        assert time.monotonic() < until, "\n".join(each.text()[-800:] for each in going)
        time.sleep(0.3)
