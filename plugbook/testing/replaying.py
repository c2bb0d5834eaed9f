"""Replays a recording to plugins in a test, and compares what they do with what they did, or with what a file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from plugbook.errors import RecordingMissingError
from plugbook.trace.reading.recording import Recording, open_recording

from .story import Story, first_difference, story_from, story_of

if TYPE_CHECKING:
    from plugbook.host.host import Host
    from plugbook.replay.result import Result

UPDATE = "--plugbook-update"


class Replayed(NamedTuple):
    """What plugins did in a replay.

    Attributes:
        recorded: what they did when it was recorded.
        story: what they did now.
        result: what the player found of their emissions and effects.
    """

    recorded: Story
    story: Story
    result: Result

    @property
    def text(self) -> str:
        """All of it, as a snapshot file keeps it."""
        lines = [str(self.story)]
        if not self.result.same:
            lines += [f"! {line.strip()}" for line in str(self.result).splitlines()[1:]]
        return "\n".join(lines) + "\n"


def replay(recording: Recording | str | Path, host: Host, scratch: Path) -> Replayed:
    """Replay a recording to the plugins of a host, which starts them, and say what they did.

    Args:
        recording: what to replay, or its path.
        host: the plugins, not started: what they ask of the world in their start is given back, too.
        scratch: where the replay may be recorded, a file that is not there.

    Raises:
        RecordingMissingError: there is no such file.
        PluginError: a plugin does not start.
    """
    with _opened(recording) as opened:
        own = host.record(scratch)
        with host.replay(opened, rate=None) as player:
            host.start().check()  # type: ignore[union-attr]  # nothing runs here
            begun = own.mark("the replay of a test begins")
            result = player.play().result
            own.close()
        return Replayed(story_of(opened), story_of(own, after=begun), result)


def assert_replayed(replayed: Replayed, snapshot: Path | None = None, *, update: bool = False) -> None:
    """Assert that plugins did what was recorded, or where a snapshot is given, what that says.

    Args:
        replayed: what they did.
        snapshot: a file with what they are to do, in place of what was recorded.
        update: write that file instead.

    Raises:
        AssertionError: they did something else; shows the first difference.
    """
    __tracebackhide__ = True
    if snapshot is None:
        found, hint = _unlike_recorded(replayed), ""
    elif update:
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.write_text(replayed.text, encoding="utf-8")
        return
    else:
        found = _unlike_snapshot(replayed, snapshot)
        hint = f"\nWhere that is what they shall do from now on, run pytest with {UPDATE}."
    if found:
        raise AssertionError(found + hint)


def _unlike_recorded(replayed: Replayed) -> str:
    parts = [first_difference(replayed.recorded, replayed.story)]
    if not replayed.result.same:
        parts.append(f"What they published or asked for is not what was recorded:\n{replayed.result}")
    told = "\n".join(filter(None, parts))
    return f"The plugins do not do what was recorded.\n{told}" if told else ""


def _unlike_snapshot(replayed: Replayed, snapshot: Path) -> str:
    if not snapshot.exists():
        return f"There is no snapshot at {snapshot} yet."
    told = first_difference(story_from(snapshot.read_text(encoding="utf-8")), story_from(replayed.text))
    return f"The plugins do not do what {snapshot.name} says.\n{told}" if told else ""


@contextmanager
def _opened(given: Recording | str | Path) -> Iterator[Recording]:
    if isinstance(given, Recording):
        yield given
        return
    if not Path(given).exists():
        msg = f"there is no recording at {given}. Make one: host.record({str(given)!r}), or the fixture `recording`."
        raise RecordingMissingError(msg, path=str(given))
    with open_recording(given) as recording:
        yield recording
