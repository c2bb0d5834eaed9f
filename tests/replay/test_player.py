"""The player: what reaches plugins, and how it is moved, paced, paused and watched."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from plugbook import Host, Plugin, on, open_recording
from plugbook.errors import DeadlockError, ReplayError, SelectionError
from plugbook.replay import progress
from plugbook.replay.progress import draw_with
from tests.replay.shop import SHOP, Billing, InvoiceSent, Ledger, Mailer, OrderPlaced, calls_of

pytestmark = pytest.mark.usefixtures("no_leaked_threads")

DEADLINE_S = 10.0


def plugin_of(host: Host, name: str):
    return host.plugins[name].instance


def wait_for(player, state: str) -> None:
    """Wait until the player is in that state, or fail."""
    deadline = time.monotonic() + DEADLINE_S
    reached = threading.Event()
    disconnect = player.on_change(lambda each: each.state == state and reached.set())
    while player.state != state and time.monotonic() < deadline:
        reached.wait(0.05)
    disconnect()
    assert player.state == state


# -- what reaches plugins ---------------------------------------------------------------------------


def test_plugins_get_every_recorded_event_exactly_once(make_host, recording):
    """A replay leaves plugins in the state in which the recorded run left them."""
    host = make_host()
    player = host.replay(recording, rate=None).play()
    assert player.state == "ended"
    assert plugin_of(host, "ledger").entries == list(range(10))
    assert plugin_of(host, "mailer").sent == list(range(1, 10))
    assert player.result.same
    assert (player.result.published, player.result.matched) == (29, 19)
    player.close()


def test_the_causal_tree_is_recorded_again(make_host, recording, tmp_path):
    """A host that records while it replays writes the trees that the recording has."""
    host = make_host()
    again = host.record(tmp_path / "again.plugbook")
    with host.replay(recording, rate=None) as player:
        player.play()
    again.flush()
    shapes = []
    for each in (recording, again):
        root = each.select(topics="order.placed").events(columns=["seq"])["seq"].iloc[3]
        shapes.append([(node.name, node.kind) for node in _records(each.tree(int(root)))])
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) > 4


def _records(tree):
    yield tree.record
    for child in tree.children:
        yield from _records(child)


def test_emissions_of_a_changed_handler_are_named_and_not_sent(make_host, recording):
    """A handler that publishes something else is told apart, and plugins still get what was recorded."""

    class Changed(Plugin, name="billing"):
        @on(OrderPlaced)
        def bill(self, event):
            if event.order_id == 1:
                self.ctx.publish(InvoiceSent(order_id=100))
            elif event.order_id == 3:
                self.ctx.publish(InvoiceSent(order_id=3))
                self.ctx.publish(InvoiceSent(order_id=3))

    Changed.__name__ = "Billing"
    host = make_host(Ledger, Changed, Mailer)
    with host.replay(recording, rate=None) as player:
        player.play()
        result = player.result
    assert plugin_of(host, "mailer").sent == list(range(1, 10))
    assert (result.differs, result.missing, result.extra) == (1, 7, 1)
    differing = result.differences[0]
    assert (differing.kind, differing.handler) == ("differs", "Billing.bill")
    assert (differing.recorded, differing.replayed) == ('{"order_id":1}', '{"order_id":100}')
    assert {each.topic for each in result.differences} == {"invoice.sent"}
    assert "1 differ, 7 missing, 1 extra" in str(result)


def test_a_held_report_tells_what_became_of_the_recorded_event(make_host, recording):
    """A handler's own report is pending while it runs, and done once the recorded event was delivered."""
    reports = []

    class Keeping(Plugin, name="billing"):
        @on(OrderPlaced, where=lambda order: order.amount > 0)
        def bill(self, event):
            reports.append(self.ctx.publish(InvoiceSent(order_id=event.order_id)))
            assert not reports[-1].done
            with pytest.raises(DeadlockError):
                reports[-1].wait()

    Keeping.__name__ = "Billing"
    host = make_host(Ledger, Keeping, Mailer)
    with host.replay(recording, rate=None) as player:
        player.play()
        assert player.result.errors == 0
    assert len(reports) == 9
    assert all(report.done for report in reports)
    assert [call.handler for call in reports[0].calls] == ["Mailer.send"]


def test_tasks_that_handlers_spawn_are_held_back(make_host, tmp_path):
    """An event published by a task that a handler spawned comes once, from the recording."""

    class Later(Plugin):
        @on(OrderPlaced)
        def take(self, event):
            self.ctx.spawn(self.invoice(event.order_id))

        async def invoice(self, order_id):
            await self.ctx.publish_async(InvoiceSent(order_id=order_id))

    first = make_host(Later, Mailer)
    recording = first.record(tmp_path / "later.plugbook")
    for order_id in range(5):
        first.publish(OrderPlaced(order_id=order_id))
    deadline = time.monotonic() + DEADLINE_S
    while len(plugin_of(first, "mailer").sent) < 5 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    recording.close()

    host = make_host(Later, Mailer)
    player = host.replay(recording, rate=None).play()
    while player.result.matched < 5 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert plugin_of(host, "mailer").sent == plugin_of(first, "mailer").sent
    assert (player.result.matched, player.result.missing, player.result.extra) == (5, 0, 0)
    player.close()


def test_background_tasks_are_held_back_until_the_end(make_host, recording):
    """While a replay is on, a plugin's own task publishes nothing, for the recording has its events."""

    class Ticking(Plugin):
        @on("never.published")
        def idle(self, event):
            """Only there to be a plugin."""

        def tick(self):
            return self.ctx.publish(InvoiceSent(order_id=-1))

    host = make_host(*SHOP, Ticking)
    player = host.replay(recording, rate=None)
    player.step()
    assert not plugin_of(host, "ticking").tick().done
    assert player.result.held == 1
    player.play()
    assert -1 not in plugin_of(host, "mailer").sent
    assert plugin_of(host, "ticking").tick().done
    assert plugin_of(host, "mailer").sent[-1] == -1
    player.close()


def test_a_person_may_publish_while_paused(make_host, recording):
    """What is published on the host from outside goes through, with all that its handlers publish."""
    host = make_host()
    with host.replay(recording, rate=None) as player:
        player.step(3)
        report = host.publish(OrderPlaced(order_id=77))
        assert report.outcome == "ok"
        assert plugin_of(host, "mailer").sent[-1] == 77
        player.play()
        assert player.result.same


def test_after_close_plugins_publish_again(make_host, recording):
    """Closing a player gives the host back as it was."""
    host = make_host()
    publish = host.bus.publish
    with host.replay(recording, rate=None) as player:
        player.play()
        assert host.bus.publish != publish
    assert host.bus.publish == publish
    host.publish(OrderPlaced(order_id=50))
    assert plugin_of(host, "mailer").sent[-1] == 50


def test_a_host_replays_its_own_live_recording(make_host):
    """What is recorded while a recording is replayed is not replayed in turn."""
    host = make_host()
    for order_id in range(4):
        host.publish(OrderPlaced(order_id=order_id))
    for expected in (12, 24):
        with host.replay(host.recording, rate=None) as player:
            assert player.total == expected
            assert player.play().result.published == expected
    assert plugin_of(host, "ledger").entries == list(range(4)) * 4


def test_a_host_without_timing_replays_too(recording):
    """Replaying needs neither clock nor recorder."""
    with Host(SHOP, timing=False) as host:
        host.start()
        with host.replay(recording, rate=None) as player:
            assert player.play().result.same
            assert player.result.matched == 19


def test_handlers_that_raise_do_not_end_a_replay(make_host, recording):
    """A failing handler is counted, whatever its policy, and the other events are played."""
    host = make_host()
    host.bus.subscribe(OrderPlaced, lambda event: 1 // event.order_id, name="divide", policy="raise")
    with host.replay(recording, rate=None) as player:
        assert player.play().state == "ended"
        assert player.result.errors == 1


# -- moving -----------------------------------------------------------------------------------------


def test_step_plays_n_events_and_pauses(make_host, recording):
    """`step` gives the report of each event, and the position counts them."""
    host = make_host()
    with host.replay(recording) as player:
        assert player.state == "ready"
        assert player.position.index == 0
        reports = player.step(4)
        assert calls_of(reports)[0] == ('{"order_id":0,"amount":0.0}', "order.placed", "Ledger.post")
        assert len(reports) == 4
        assert player.state == "paused"
        assert player.position.index == 4
        assert len(player.step(1_000)) == 25
        assert player.state == "ended"
        assert player.step() == []


def test_seek_by_seq_and_time(make_host, recording):
    """After a seek the next event is the first one at or after what was asked for, and nothing was published."""
    host = make_host()
    events = recording.events()
    with host.replay(recording, rate=None) as player:
        wanted = int(events["seq"].iloc[12])
        assert player.seek(seq=wanted).seq == wanted
        assert player.position.index == 12
        assert player.position.previous == int(events["seq"].iloc[11])
        assert player.seek(time=events["time"].iloc[20]).index <= 20
        assert player.seek(seq=0).index == 0
        assert player.result.published == 0
        assert player.play().result.published == 29
        assert player.position.seq is None
        player.seek(seq=int(events["seq"].iloc[-1]))
        assert player.state == "paused"
        assert player.play().result.published == 30


def test_events_whose_cause_was_jumped_over_are_not_expected_of_handlers(make_host, recording):
    """After a seek into the middle of a tree, nothing counts as missing."""
    host = make_host()
    with host.replay(recording, rate=None, seq=int(recording.events()["seq"].iloc[1])) as player:
        assert player.play().result.missing == 0
        assert player.result.extra == 0


@pytest.mark.parametrize("turns", [1, 2])
def test_playing_again_from_the_start_compares_again(make_host, recording, turns):
    """Every pass over the recording is compared by itself."""
    host = make_host()
    with host.replay(recording, rate=None) as player:
        for _ in range(turns):
            player.seek(seq=0)
            player.play()
        assert player.result.matched == 19 * turns
        assert player.result.same


def test_until_a_seq_a_moment_or_a_condition(make_host, recording):
    """`until` pauses behind a seq, before a moment, and behind the event of which a function says so."""
    host = make_host()
    events = recording.events()
    with host.replay(recording, rate=None) as player:
        player.play(until=int(events["seq"].iloc[5]))
        assert (player.state, player.position.index) == ("paused", 6)
        player.play(until=lambda report: report.topic == "order.placed" and report.event.order_id == 7)
        assert player.position.previous == int(events["seq"][events["topic"] == "order.placed"].iloc[7])
        player.play(until=60.0)
        assert player.state == "ended"
    with host.replay(recording, rate=None, until=events["time"].iloc[9]) as player:
        assert player.play().position.index <= 9


@pytest.mark.parametrize("options", [{"rate": 0}, {"rate": -1.0}, {"seq": "ten"}, {"seq": 1, "time": 0.5}])
def test_options_that_cannot_be_are_refused(recording, options):
    """A rate that is not above 0 and a start that is none are refused with a reason."""
    with pytest.raises(SelectionError):
        recording.player(**options)


# -- filters ----------------------------------------------------------------------------------------


def test_filters_choose_what_is_played_and_everything_is_compared(make_host, recording):
    """With a topic filter only those events reach plugins; what their handlers publish is compared all the same."""
    host = make_host()
    with host.replay(recording, rate=None, topics="order.*") as player:
        assert player.total == 10
        assert player.play().result.published == 10
        assert player.result.matched == 19
        assert player.result.same
    assert plugin_of(host, "mailer").sent == []


def test_filter_by_the_plugin_that_published(make_host, recording):
    """With a plugin filter only events of that plugin are played, and none of them is expected of a handler."""
    host = make_host()
    with host.replay(recording, rate=None, plugins=["billing"]) as player:
        assert player.play().result.published == 9
        assert player.result.matched == player.result.missing == 0
    assert plugin_of(host, "mailer").sent == list(range(1, 10))


def test_a_selection_is_played_as_it_is(make_host, recording):
    """A selection by a function chooses what is played, too."""
    host = make_host()
    part = recording.select(topics="order.placed", where=lambda record: record.payload["order_id"] % 2 == 0)
    with host.replay(part, rate=None) as player:
        assert player.total == 5
        player.play()
    assert plugin_of(host, "ledger").entries == [0, 2, 4, 6, 8]


# -- without a host ---------------------------------------------------------------------------------


def test_without_a_host_records_are_shown_and_no_plugin_runs(recording):
    """A player without a host steps through the records, and knows what states plugins were in."""
    player = recording.player(rate=None)
    first, second = player.step(2)
    assert (first.name, first.payload["order_id"]) == ("order.placed", 0)
    assert second.name == "ledger.noted"
    assert player.plugin_states() == {"ledger": "active", "billing": "active", "mailer": "active"}
    player.play(until=lambda record: record.payload["order_id"] == 3)
    assert player.state == "paused"
    assert player.play().state == "ended"
    assert player.result.published == 0
    assert player.result.events == 29
    player.close()


def test_plugin_states_follow_the_position(make_host, tmp_path):
    """The recorded lifecycle can be read at any position."""
    host = make_host()
    with host.record(tmp_path / "states.plugbook") as recording:
        host.publish(OrderPlaced(order_id=1))
        host.stop("mailer")
        host.publish(OrderPlaced(order_id=2))
    player = open_recording(tmp_path / "states.plugbook").player(rate=None)
    assert player.plugin_states()["mailer"] == "active"
    player.seek(seq=player.recording.seek(seq=int(recording.events()["seq"].iloc[-1])))
    assert player.plugin_states()["mailer"] == "stopped"
    player.recording.close()
    recording.close()


# -- pace, threads and interrupts -------------------------------------------------------------------


def test_rate_is_a_multiple_of_real_time(make_host, tmp_path):
    """Events come no earlier than the recorded time divided by the rate says."""
    host = make_host()
    recording = host.record(tmp_path / "slow.plugbook")
    begun = time.perf_counter()
    host.publish(OrderPlaced(order_id=1))
    threading.Event().wait(0.2)
    host.publish(OrderPlaced(order_id=2))
    recorded_s = time.perf_counter() - begun
    recording.close()
    for rate in (1.0, 4.0):
        with host.replay(recording, rate=rate) as player:
            begun = time.perf_counter()
            player.play()
            assert time.perf_counter() - begun >= 0.2 / rate
            assert time.perf_counter() - begun < recorded_s / rate + DEADLINE_S


def test_transport_in_the_background(make_host, recording):
    """A run on a thread of its own can be paused, moved and resumed from here, and seen to end."""
    host = make_host()
    entered, may_go = threading.Event(), threading.Event()

    def hold(event):
        if event.order_id == 3:
            entered.set()
            may_go.wait(DEADLINE_S)

    host.bus.subscribe(OrderPlaced, hold, name="hold")
    states = []
    with host.replay(recording, rate=None) as player:
        player.on_change(lambda each: states.append(str(each.state)))
        player.play(background=True)
        assert entered.wait(DEADLINE_S)
        assert player.state == "playing"
        threading.Timer(0.02, may_go.set).start()
        player.pause()
        assert player.state == "paused"
        index = player.position.index
        assert index == player.position.index < 29
        player.seek(seq=0)
        player.resume()
        wait_for(player, "ended")
        assert player.result.published == 29 + index
    assert states[0] == "playing"
    assert states[-1] == "closed"


def test_toggle_pauses_what_plays_and_resumes_what_does_not(make_host, recording):
    """Toggling from a listener pauses, toggling again plays to the end, and there or closed it plays nothing."""
    host = make_host()
    with host.replay(recording, rate=None) as player:

        def toggle_once(playing):
            disconnect()
            playing.toggle()

        disconnect = player.on_change(toggle_once)
        assert player.toggle().state == "paused"
        assert plugin_of(host, "ledger").entries == []
        assert player.toggle().state == "ended"
        assert player.toggle().state == "ended"
        assert plugin_of(host, "ledger").entries == list(range(10))
    with pytest.raises(ReplayError):
        player.toggle()


def test_seek_while_playing_goes_on_from_there(make_host, recording):
    """A run that waits for its next event goes on at once from where it was moved to."""
    host = make_host()
    with host.replay(recording, rate=1e-9) as player:
        player.play(background=True)
        player.seek(seq=int(recording.events()["seq"].iloc[-1]))
        player.rate = None
        wait_for(player, "ended")
        assert player.position.index == 29


def test_an_interrupt_pauses_and_the_replay_can_go_on(make_host, recording):
    """A KeyboardInterrupt in a handler pauses; resuming plays the rest, and no event comes twice."""
    host = make_host()

    def interrupt(event):
        if event.order_id == 4:
            raise KeyboardInterrupt

    disconnect = host.bus.subscribe(OrderPlaced, interrupt, name="interrupt", priority=-1)
    with host.replay(recording, rate=None) as player:
        assert player.play().state == "paused"
        disconnect()
        assert player.resume().state == "ended"
    assert plugin_of(host, "ledger").entries == list(range(10))


def test_a_handler_may_pause_the_player_and_nothing_else(make_host, recording):
    """From inside a handler pause() works, and what would have to wait for that handler is refused."""
    host = make_host()
    refused = []

    def meddle(event):
        player.pause()
        for forbidden in (player.play, player.step, player.close, player.resume):
            with pytest.raises(DeadlockError):
                forbidden()
            refused.append(forbidden)

    async def pause(event):
        player.pause()

    host.bus.subscribe("ledger.noted", meddle, name="meddle")
    disconnect = host.bus.subscribe("invoice.sent", pause, name="pause")
    with host.replay(recording, rate=None) as player:
        player.play()
        assert (player.state, len(refused)) == ("paused", 4)
        player.play(until=lambda report: report.topic == "invoice.sent")
        disconnect()


def test_only_one_player_plays_on_a_host_at_a_time(make_host, recording):
    """A second player is refused while the first is playing, and takes over once that is paused."""
    host = make_host()
    with host.replay(recording, rate=1e-9) as first, host.replay(recording, rate=None) as second:
        first.play(background=True)
        with pytest.raises(ReplayError, match="another player"):
            second.step()
        first.pause()
        assert second.play().result.same


def test_a_closed_player_says_so(make_host, recording):
    """A closed player is not played, and closing it again does nothing."""
    player = make_host().replay(recording)
    player.close()
    player.close()
    with pytest.raises(ReplayError, match="closed"):
        player.play()


def test_an_error_in_the_background_is_kept(make_host, recording, caplog):
    """What ends a run on a thread of its own is not lost."""
    host = make_host()
    with host.replay(recording, rate=None) as player:
        player.play(until=lambda report: 1 // 0, background=True)
        wait_for(player, "paused")
        deadline = time.monotonic() + DEADLINE_S
        while player.error is None and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert isinstance(player.error, ZeroDivisionError)
    assert "ended" in caplog.text


def test_long_runs_are_drawn_by_whoever_draws(make_host, recording, monkeypatch):
    """A run that takes long is shown to every drawer, the last time when it is over; a raising one is dropped."""
    monkeypatch.setattr(progress, "LONG_S", -1.0)
    drawn = []

    def draw(player):
        drawn.append((player.position.index, player.total, str(player.state)))

    def fail(player):
        raise ValueError

    disconnect, disconnect_failing = draw_with(draw), draw_with(fail)
    with make_host().replay(recording, rate=None) as player:
        player.play()
    disconnect()
    disconnect_failing()
    assert (29, 29, "ended") in drawn


def test_repr_says_state_position_and_result(make_host, recording):
    """The player reads well as text."""
    host = make_host(Ledger, Billing, Mailer)
    with host.replay(recording, rate=None) as player:
        player.step(2)
        assert repr(player).startswith("Player paused at 2 of 29 events, next ")
        player.play()
        assert "19 as recorded, 0 differ, 0 missing, 0 extra" in repr(player)


def test_resume_goes_on_behind_until(make_host, recording):
    """Once `until` was reached, resuming plays to the end; with a function it pauses at the next such event."""
    host = make_host()
    fifth = int(recording.events()["seq"].iloc[5])
    with host.replay(recording, rate=None, until=fifth) as player:
        assert player.resume().position.index == 6
        assert player.resume().state == "ended"
    with host.replay(recording, rate=None, until=lambda report: report.topic == "invoice.sent") as player:
        counts = [player.resume().position.index for _ in range(3)]
        assert len(set(counts)) == 3
        assert player.state == "paused"


def test_a_forgotten_player_lets_go_of_the_host(make_host, recording):
    """When nobody keeps a paused player any more, plugins publish as before."""
    host = make_host()
    host.replay(recording, rate=None).step()
    gc.collect()
    assert host.bus.gate is None


def test_a_listener_may_move_the_player(make_host, recording):
    """What is called while the player plays may seek, pause and play it."""
    host = make_host()
    moves = []

    def rewind(player):
        if player.state == "playing" and not moves:
            moves.append(player.seek(seq=0))
            player.pause()
            player.play()

    with host.replay(recording, rate=None) as player:
        player.on_change(rewind)
        assert player.play().state == "ended"
        assert moves
        assert player.result.published == 29


def test_a_listener_and_another_thread_may_move_the_player_at_once(make_host, recording):
    """Neither waits for the other: the run ends where the later of them left it."""
    host = make_host()
    inside, may_go = threading.Event(), threading.Event()

    def rewind(player):
        if player.state == "playing" and not inside.is_set():
            inside.set()
            may_go.wait(DEADLINE_S)
            player.seek(seq=0)

    with host.replay(recording, rate=None) as player:
        player.on_change(rewind)
        player.play(background=True)
        assert inside.wait(DEADLINE_S)
        other = threading.Thread(target=player.seek, kwargs={"seq": 0})
        other.start()
        may_go.set()
        other.join(DEADLINE_S)
        assert not other.is_alive()
        wait_for(player, "ended")
