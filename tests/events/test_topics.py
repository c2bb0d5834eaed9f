"""Tests of topics and topic patterns."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugbook.errors import TopicError
from plugbook.events.topics import check_topic, compile_pattern, matches

words = st.sampled_from(["a", "b", "order", "x-1", "größe"])
topics = st.lists(words, min_size=1, max_size=6).map(".".join)
patterns = st.lists(st.one_of(words, st.sampled_from(["*", "**"])), min_size=1, max_size=6).map(".".join)


def slow_match(pattern, topic):
    """The definition, word by word: `*` is one word, `**` any number."""
    if not pattern:
        return not topic
    if pattern[0] == "**":
        return any(slow_match(pattern[1:], topic[cut:]) for cut in range(len(topic) + 1))
    return bool(topic) and pattern[0] in ("*", topic[0]) and slow_match(pattern[1:], topic[1:])


@given(patterns, topics)
def test_a_pattern_means_what_its_definition_says(pattern, topic):
    """Matching agrees with the definition for every pattern and topic."""
    assert matches(pattern, topic) == slow_match(pattern.split("."), topic.split("."))


@given(topics)
def test_a_topic_is_a_pattern_of_itself(topic):
    """A topic matches itself, `**` and the pattern of as many stars as it has words."""
    assert check_topic(topic) == topic
    assert all(matches(each, topic) for each in (topic, "**", ".".join("*" * len(topic.split(".")))))


def test_a_pattern_that_nearly_fits_takes_no_time():
    """Many wildcards and a long topic do not make matching explode."""
    begun = time.perf_counter()
    assert not matches(".".join(["**", "a"] * 12 + ["b"]), ".".join("a" * 60))
    assert time.perf_counter() - begun < 0.5


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a\n", "a/b", "a.b.", "é!"])
def test_what_is_not_a_topic_is_refused(text):
    """A malformed topic is named in the error."""
    with pytest.raises(TopicError, match="not a topic") as caught:
        check_topic(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("pattern", ["", ".", "a.", "a..b", "***", "a*", "*.a b", "**.x?"])
def test_what_is_not_a_pattern_is_refused(pattern):
    """A malformed pattern is named in the error, with the word that is wrong."""
    with pytest.raises(TopicError, match="not a topic pattern"):
        compile_pattern(pattern)


@given(st.text(max_size=12))
def test_any_text_is_a_pattern_or_refused(text):
    """Whatever a person types gives a function or a TopicError."""
    with contextlib.suppress(TopicError):
        assert compile_pattern(text)("a.b") in (True, False)
