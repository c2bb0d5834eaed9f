"""Stand-ins for a host and a recording: the columns and names the views rely on, and nothing else."""

from types import SimpleNamespace

import pandas as pd

COLUMNS = {
    "events": "seq time topic plugin parent root outcome calls errors duration_ns queued_ns payload process thread task cell",
    "calls": "seq time event topic name plugin duration_ns own_ns outcome reason result error root order",
    "states": "seq time plugin before after duration_ns outcome reason error parent",
    "logs": "seq time plugin level message parent",
}
NUMBERS = {"seq", "duration_ns", "own_ns", "queued_ns", "calls", "errors"}
START_NS = 1_700_000_000_000_000_000


class FakeRecording:
    """A recording whose frames were given to it."""

    version = 1
    path = None
    selected = True

    def __init__(self, *, facts=None, **rows):
        self._frames = {
            name: _frame(rows.get(name, []), columns.split()) for name, columns in COLUMNS.items()
        }
        self._facts = facts or {}

    def events(self, columns=None, limit=None):
        return self._take("events", columns, limit)

    def calls(self, columns=None, limit=None):
        return self._take("calls", columns, limit)

    def states(self, columns=None, limit=None):
        return self._take("states", columns, limit)

    def logs(self, columns=None, limit=None):
        return self._take("logs", columns, limit)

    def facts(self, what):
        return self._facts.get(what, {})

    def select(self, **words):
        chosen = FakeRecording(facts=self._facts)
        chosen._frames = dict(self._frames)
        if "outcome" in words:
            wanted = [words["outcome"]] if isinstance(words["outcome"], str) else list(words["outcome"])
            for name in ("calls", "events"):
                chosen._frames[name] = self._frames[name][self._frames[name]["outcome"].isin(wanted)]
            frame = self._frames["states"]
            chosen._frames["states"] = frame[frame["outcome"].isin(wanted)]
        return chosen

    def __getitem__(self, seq):
        return SimpleNamespace(seq=seq, error=None)

    def __len__(self):
        return sum(map(len, self._frames.values()))

    def since(self, version):
        return self

    def _take(self, name, columns, limit):
        frame = self._frames[name]
        frame = frame if columns is None else frame[columns]
        return frame if limit is None else frame.head(limit)


def _frame(rows, columns):
    filled = [{name: row.get(name, 0 if name in NUMBERS else "") for name in columns} for row in rows]
    frame = pd.DataFrame(filled, columns=columns)
    frame["time"] = pd.to_datetime(frame["time"].astype("int64"), unit="ns", utc=True)
    return frame.astype({name: "int64" for name in columns if name in NUMBERS})


def call(
    number, plugin="billing", *, at_ms=None, duration_ns=5_000, outcome="ok", topic="order.placed", error=""
):
    """One row of `calls`."""
    at_ns = (at_ms if at_ms is not None else number * 10) * 1_000_000
    return {
        "seq": 10240 + number * 1024 + 1,
        "time": int(START_NS + at_ns),
        "event": 10240 + number * 1024,
        "topic": topic,
        "name": f"{plugin.title()}.on_{topic.rpartition('.')[2]}",
        "plugin": plugin,
        "duration_ns": int(duration_ns),
        "own_ns": int(duration_ns),
        "outcome": outcome,
        "error": error,
        "root": 10240 + number * 1024,
    }


def event(number, topic="order.placed", *, at_ms=None, outcome="ok", calls=1):
    """One row of `events`."""
    at_ns = (at_ms if at_ms is not None else number * 10) * 1_000_000
    return {
        "seq": 10240 + number * 1024,
        "time": int(START_NS + at_ns),
        "topic": topic,
        "outcome": outcome,
        "calls": calls,
        "duration_ns": 20_000,
    }


def state(number, plugin, before, after, *, at_ms=0.0, error=""):
    """One row of `states`."""
    return {
        "seq": number * 1024,
        "time": int(START_NS + at_ms * 1_000_000),
        "plugin": plugin,
        "before": before,
        "after": after,
        "duration_ns": 40_000,
        "outcome": "error" if error else "ok",
        "error": error,
    }


def manifest(**fields):
    """A manifest as a recording stores it."""
    return {
        "version": "1.0.0",
        "requires": [],
        "optional": [],
        "conflicts": [],
        "provides": [],
        "needs": [],
        **fields,
    }


class FakeHost:
    """A host that has plugins in states, and does what it is asked at once."""

    def __init__(self, plugins, graph=(), recording=None):
        self.plugins = {
            name: SimpleNamespace(
                name=name,
                state=state,
                manifest=SimpleNamespace(version="1.0.0", summary=f"the {name} plugin"),
                config=None,
                error=RuntimeError("no ink") if state == "failed" else None,
                since_ns=START_NS,
            )
            for name, state in plugins.items()
        }
        self.graph = list(graph)
        self.recording = recording or FakeRecording()
        self.callbacks = []
        self.asked = []

    @property
    def states(self):
        return {name: handle.state for name, handle in self.plugins.items()}

    def why(self, name):
        return SimpleNamespace(chain=(f"nobody has started {name}",))

    def held(self, name):
        return ""

    def on_change(self, callback):
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def become(self, name, state):
        """Change a plugin's state as the real host would: then tell everybody."""
        self.plugins[name].state = state
        for callback in list(self.callbacks):
            callback()

    def start(self, name):
        self.asked.append(("start", name))
        self.become(name, "active")

    def stop(self, name):
        self.asked.append(("stop", name))
        self.become(name, "stopped")

    def restart(self, name):
        self.asked.append(("restart", name))
        self.become(name, "active")
