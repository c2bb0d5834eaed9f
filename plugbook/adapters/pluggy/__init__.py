"""pluggy: every hook call an event, every implementation that ran a call, by pluggy's own monitoring.

`PluginManager.add_hookcall_monitoring` hands its ``before`` the list of implementations made for this
very call. For the time of the call, copies whose function is timed stand in it; ``after`` puts the
originals back. The registry is never touched and nothing is patched. Compared with the alternatives
(replacing `HookImpl.function`, `enable_tracing`, `sys.monitoring`) this gives each implementation's own
result, error and time on every Python, and leaves nothing to undo when a host is killed half-way.

What holds for the host: results, order, identity of arguments, ``firstresult``, exceptions and the
teardown of wrappers stay as they are; no argument is kept alive longer than the call. Seen from inside,
an implementation has one more frame above it, so a warning with a large ``stacklevel`` may name it.

Tried with pluggy 1.6.0 and 1.7.0.
"""

from .monitor import Monitor, accepts

__all__ = ["Monitor", "accepts"]
