"""What each record mode does with calls that are recorded, and with those that are not."""

from __future__ import annotations

import pytest

from tests.llm_strategy.loopback import Loopback
from tests.pytest_llm_strategy.conftest import Project

TEST = """
from shop import shop

def test_find():
    assert shop.find("light")
"""
CASSETTE = "test_shop/test_find.yaml"


def test_recorded_over_http_then_replayed_without_key_server_or_sdk(
    http_project: Project, provider: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once recorded, a suite needs neither key, nor network, nor even the provider's package imported."""
    http_project.write(
        test_shop=TEST
        + "\ndef test_no_sdk():\n    import sys\n    assert not {'openai', 'httpx2'} & set(sys.modules)\n"
    )
    recorded = http_project.pytest("--llm-record", "-k", "find")
    recorded.stdout.fnmatch_lines(["model calls: asked 1, reused 0, copied 0, 11 input and 7 output tokens"])
    assert len(provider.requests) == 1
    assert 'answered_by: "loopback-1"' in http_project.cassette(CASSETTE)
    provider.__exit__(None, None, None)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    replayed = http_project.pytest()
    replayed.assert_outcomes(passed=2)
    replayed.stdout.fnmatch_lines(["model calls: 1 replayed"])


def test_replay_never_asks(project: Project) -> None:
    """Plain pytest fails a call that is not recorded, and spends nothing."""
    project.write(test_shop=TEST)
    result = project.pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "no recording answers this call of Shop.find (shop.py:*)",
            "*nothing is recorded here yet: cassettes/test_shop/test_find.yaml does not exist.",
            "*To ask counter:model and keep the answer: pytest --llm-record test_shop.py::test_find",
        ]
    )
    assert project.asked == 0
    assert project.cassettes == []


def test_new_asks_only_for_what_is_missing(project: Project) -> None:
    """`--llm-record` pays for new calls only, and the cassette keeps request order."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record").assert_outcomes(passed=1)
    project.write(test_shop=TEST.replace('shop.find("light")', 'shop.find("first") and shop.find("light")'))
    result = project.pytest("--llm-record")
    result.stdout.fnmatch_lines(["model calls: asked 1, reused 1, copied 0"])
    assert project.asked == 2
    text = project.cassette(CASSETTE)
    assert text.index('query = "first"') < text.index('query = "light"')


def test_new_drops_what_a_passed_test_no_longer_asks_for(project: Project) -> None:
    """After a complete, passed test its cassette holds what it asks for and nothing else."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(test_shop=TEST.replace("light", "seat"))
    project.pytest("--llm-record").stdout.fnmatch_lines(["*removed 1 stale*"])
    assert 'query = "seat"' in project.cassette(CASSETTE)
    assert 'query = "light"' not in project.cassette(CASSETTE)


def test_new_keeps_everything_of_a_failed_test(project: Project) -> None:
    """A test that fails may not have come to all its calls: nothing is dropped, what was paid for is kept."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(test_shop=TEST.replace('shop.find("light")', 'not shop.find("seat")'))
    project.pytest("--llm-record").assert_outcomes(failed=1)
    assert 'query = "light"' in project.cassette(CASSETTE)
    assert 'query = "seat"' in project.cassette(CASSETTE)


def test_replay_counts_stale_recordings_and_leaves_them(project: Project) -> None:
    """Plain pytest changes no file; it says what is recorded and no longer asked for."""
    project.write(test_shop=TEST.replace('shop.find("light")', 'shop.find("light") and shop.find("seat")'))
    project.pytest("--llm-record")
    before = project.cassette(CASSETTE)
    project.write(test_shop=TEST)
    project.pytest().stdout.fnmatch_lines(["model calls: 1 replayed, 1 stale"])
    assert project.cassette(CASSETTE) == before


def test_all_asks_afresh_and_replaces_after_a_pass(project: Project) -> None:
    """`--llm-record=all` gets new answers for all calls of a test that passes."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    result = project.pytest("--llm-record=all")
    result.stdout.fnmatch_lines(["model calls: asked 1, reused 0, copied 0"])
    assert "answer 2" in project.cassette(CASSETTE)
    assert "answer 1" not in project.cassette(CASSETTE)
    assert project.cassettes == [CASSETTE]


@pytest.mark.parametrize(
    "breakage",
    ['assert not shop.find("light")', 'assert shop.find("light")\n    raise SystemExit(3)'],
    ids=["failure", "exit"],
)
def test_all_leaves_the_old_recording_where_the_test_does_not_pass(project: Project, breakage: str) -> None:
    """A failed re-recording leaves the cassette byte-identical, and what was paid for beside it."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    before = project.cassette(CASSETTE)
    project.write(test_shop=TEST.replace('assert shop.find("light")', breakage))
    project.pytest("--llm-record=all")
    assert project.cassette(CASSETTE) == before
    assert "answer 2" in project.cassette("test_shop/test_find.new.yaml")


def test_all_with_a_failing_provider_leaves_the_old_recording(
    http_project: Project, provider: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that cannot be reached costs nothing that was recorded."""
    http_project.write(test_shop=TEST)
    http_project.pytest("--llm-record").assert_outcomes(passed=1)
    before = http_project.cassette(CASSETTE)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    result = http_project.pytest("--llm-record=all")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ModelError*"])
    assert http_project.cassette(CASSETTE) == before
    assert http_project.cassettes == [CASSETTE]


def test_live_uses_no_cassette(project: Project) -> None:
    """`--llm-record=live` asks every time and writes nothing."""
    project.write(test_shop=TEST)
    for asked in (1, 2):
        project.pytest("--llm-record=live").assert_outcomes(passed=1)
        assert project.asked == asked
    assert project.cassettes == []


def test_dry_lists_and_spends_nothing(project: Project) -> None:
    """`--llm-record=dry` replays what there is, and lists the first call of each test that would be asked."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(test_shop=TEST + '\ndef test_more():\n    assert shop.find("table")\n')
    result = project.pytest("--llm-record=dry", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*would be asked*Shop.find*"])
    result.stdout.fnmatch_lines(["*test_shop.py::test_more: Shop.find would ask counter:model"])
    assert project.asked == 1


def test_replay_mode_wins_over_markers(project: Project) -> None:
    """A marker's mode acts only while recording: plain pytest and `--llm-record=replay` never spend."""
    project.write(
        test_shop="import pytest\n" + TEST.replace("def test", "@pytest.mark.llm_cassette(mode='live')\ndef test")
    )
    project.pytest().assert_outcomes(failed=1)
    project.pytest("--llm-record=replay").assert_outcomes(failed=1)
    assert project.asked == 0
    project.pytest("--llm-record").assert_outcomes(passed=1)
    assert project.asked == 1
    assert project.cassettes == []


def test_a_renamed_test_copies_its_answers(project: Project) -> None:
    """Renaming, moving or re-parametrising a test does not pay again."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(test_shop=TEST.replace("test_find", "test_renamed"))
    missed = project.pytest()
    missed.assert_outcomes(failed=1)
    missed.stdout.fnmatch_lines(["*recorded by test_shop.py::test_find (cassettes/test_shop/test_find.yaml:*)*"])
    missed.stdout.fnmatch_lines(["*without asking a model: pytest --llm-record test_shop.py::test_renamed"])
    project.pytest("--llm-record").stdout.fnmatch_lines(["model calls: asked 0, reused 0, copied 1"])
    assert project.asked == 1
    project.pytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("decorator", ["@pytest.mark.xfail", "@pytest.mark.xfail(strict=False)"])
def test_an_expected_failure_is_no_pass(project: Project, decorator: str) -> None:
    """What an xfailed test did not ask for is not stale."""
    test = "import pytest\n" + TEST.replace("def test", f"{decorator}\ndef test")
    project.write(test_shop=test)
    project.pytest("--llm-record")
    project.write(test_shop=test.replace('assert shop.find("light")', "assert False"))
    project.pytest("--llm-record")
    assert 'query = "light"' in project.cassette(CASSETTE)


def test_a_failed_subtest_is_no_pass(project: Project) -> None:
    """A subtest that fails keeps the recordings of the whole test."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(
        test_shop="""
def test_find(subtests):
    with subtests.test("fails"):
        assert False
"""
    )
    project.pytest("--llm-record")
    assert 'query = "light"' in project.cassette(CASSETTE)


def test_a_test_that_has_stopped_asking_loses_its_cassette(project: Project) -> None:
    """Where nothing of a passed test's cassette is asked for any more, the file goes; plain pytest only says so."""
    project.write(test_shop=TEST)
    project.pytest("--llm-record")
    project.write(test_shop="def test_find():\n    pass\n")
    project.pytest().stdout.fnmatch_lines(["model calls: 1 stale"])
    assert project.cassettes == [CASSETTE]
    project.pytest("--llm-record")
    assert project.cassettes == []


def test_what_is_expected_to_miss_is_never_recorded(project: Project) -> None:
    """`expect_miss=True` holds while recording too: the test goes on to see its miss."""
    project.write(
        test_shop="""
import pytest
from llm_strategy import CassetteMiss
from shop import shop

@pytest.mark.llm_cassette(expect_miss=True)
def test_find():
    with pytest.raises(CassetteMiss):
        shop.find("light")
"""
    )
    project.pytest("--llm-record").assert_outcomes(passed=1)
    project.pytest().assert_outcomes(passed=1)
    assert project.asked == 0


def test_a_replayed_reply_that_does_not_fit_says_how_to_ask_again(project: Project) -> None:
    """An answer that was recorded and cannot be used is no dead end."""
    project.edit("shop.py", '\'{"return_value": ["answer %d"]}\' % len(log.readlines())', "'I am sorry'")
    project.write(test_shop=TEST)
    project.pytest("--llm-record").assert_outcomes(failed=1)
    project.pytest("--llm-record").stdout.fnmatch_lines(["*to ask the model again: pytest --llm-record=all*"])
