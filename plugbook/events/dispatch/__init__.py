"""Brings an event to its handlers: the queue, the calls, the loop, questions, layers and limits."""
