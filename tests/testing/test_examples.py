"""The example that a person copies first runs as it stands."""

import textwrap

import plugbook.testing


def test_the_example_of_the_package_passes(pytester):
    """The test file in the docstring of `plugbook.testing` is green."""
    example = textwrap.dedent(plugbook.testing.__doc__.partition("::\n\n")[2])
    path = pytester.makepyfile(example)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", path).assert_outcomes(passed=7)
