"""The plugins that a recording knows."""

from __future__ import annotations

from plugbook.trace.reading.roster import plugins_in


def test_the_last_state_is_shown(bench):
    """A plugin is shown in its last state, with the reason; one that never moved in the state noted at the beginning."""
    recorder = bench.recorder()
    for name in ("ledger", "idle"):
        recorder.describe("manifest", name, {"name": name, "version": "1.2", "summary": "keeps books"})
        recorder.describe("state", name, "discovered")
    recorder.put("state", "starting->active", plugin="ledger")
    error = {"type": "ValueError", "message": "no", "frames": []}
    recorder.put(
        "state", "stopping->failed", plugin="ledger", reason="its stop failed", outcome="error", error=error
    )
    recorder.close()
    ledger, idle = plugins_in(recorder.recording)
    assert (ledger.name, ledger.version, ledger.state, ledger.error) == (
        "ledger",
        "1.2",
        "failed",
        "ValueError: no",
    )
    assert (idle.name, idle.state, idle.reason, idle.summary) == ("idle", "discovered", "", "keeps books")


def test_who_only_acted_is_known(bench):
    """A plugin without a manifest, as of a foreign system, is known by what it did."""
    recorder = bench.recorder()
    recorder.put("log", "info", plugin="capture", payload={"message": "hello"})
    recorder.close()
    (capture,) = plugins_in(recorder.recording)
    assert (capture.name, capture.state) == ("capture", "")
