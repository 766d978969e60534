"""What replicas say together: agreement, lag, a split, and what must never be."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Run

pytestmark = pytest.mark.browser


def row(node: str, versions: dict[str, int], second: int = 0, **digests: str) -> dict[str, Any]:
    return {
        "node": node, "versions": versions, "digests": digests, "digest": "", "size": 1,
        "observed_at": f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z",
    }  # fmt: skip


def verdict(run: Run, *rows: dict[str, Any], **more: Any) -> list[str]:
    code = "(lib, [rows, more]) => { const v = lib.replica_words.verdict(rows, more); return [v.kind, v.text]; }"
    found: list[str] = run(code, [rows, more])
    return found


def test_verdicts_are_told_from_versions_alone(run: Run) -> None:
    both = {"n1.1": 5, "n2.1": 7}
    assert verdict(run, row("n1", both), row("n2", both)) == ["agree", "n1 and n2 agree"]
    behind = {"n1.1": 5, "n2.1": 4}
    assert verdict(run, row("n1", behind), row("n2", both)) == ["behind", "n1 is 3 versions behind n2"]
    assert verdict(run, row("n1", both, **{"n1.1": "aa"}), row("n2", both, **{"n1.1": "bb"}))[0] == "broken"
    kind, text = verdict(run, row("n1", both, 90), row("n2", both, 90), row("n3", behind, 0))
    assert (kind, text) == ("old", "n1 and n2 agree; n3 was not observed since")


def test_two_nodes_that_both_write_are_split_only_when_the_next_snapshot_says_so_too(run: Run) -> None:
    both, other = {"n1.1": 5, "n2.1": 7}, {"n1.1": 6, "n2.1": 4}
    now = [row("n1", other), row("n2", both), row("n3", both)]
    kind, text = verdict(run, *now)
    assert kind == "apart"
    assert text == "n2 and n3 | n1 each held what the others lacked; the next snapshot tells whether they are split"
    kind, text = verdict(run, *now, before=now)
    assert (kind, text) == ("split", "Split: n2 and n3 | n1 each hold what the others lack")
    busy = [row("n1", {"n1.1": 5, "n2.1": 4}), row("n2", {"n1.1": 5, "n2.1": 4}), row("n3", both)]
    assert verdict(run, *now, before=busy)[0] == "apart"
    assert verdict(run, *now, before=now[:1])[0] == "apart"


def test_a_node_that_is_gone_is_not_behind(run: Run) -> None:
    rows = [row("n1", {"n1.1": 5, "n2.1": 7}), row("n2", {"n1.1": 3, "n2.1": 7})]
    assert verdict(run, *rows)[0] == "behind"
    kind, text = verdict(run, *rows, gone=["n2"])
    assert (kind, text) == ("old", "Only n1 was observed; n2 was not observed since")
    assert verdict(run, *rows, gone=["n1", "n2"])[0] == "behind"


def agreed(run: Run, *readings: list[dict[str, Any]], gone: tuple[str, ...] = ()) -> bool | None:
    """What the map says after these readings, each of snapshots of its own unless it is the very same list."""
    numbered = [[{**one, "sworm": "rooms", "id": id(reading)} for one in reading] for reading in readings]
    code = """(lib, [readings, gone]) => {
      const observed = new lib.replica_words.Observed();
      for (const rows of readings) observed.take(rows);
      return observed.agree(gone);
    }"""
    found: bool | None = run(code, [numbered, gone])
    return found


def test_the_map_says_that_replicas_differ_once_a_second_snapshot_does(run: Run) -> None:
    both, less = {"n1.1": 5, "n2.1": 7}, {"n1.1": 5, "n2.1": 4}
    even, equal = [row("n1", less), row("n2", less)], [row("n1", both), row("n2", both)]
    lags = [row("n1", less), row("n2", both)]
    assert agreed(run) is None
    assert agreed(run, equal) is True
    assert agreed(run, even, lags) is None, "a change may be on its way"
    assert agreed(run, lags, lags) is None, "one snapshot, read twice"
    assert agreed(run, lags, list(lags)) is False
    later = [row("n1", both), row("n2", {"n1.1": 5, "n2.1": 9})]
    assert agreed(run, lags, later) is None, "it got what there was, and there is more"
    assert agreed(run, lags, list(lags), equal) is True
    assert agreed(run, lags, list(lags), gone=("n1",)) is True, "who is gone lacks nothing"
    wrong = [row("n1", both, **{"n1.1": "aa"}), row("n2", both, **{"n1.1": "bb"})]
    assert agreed(run, wrong) is False
    assert agreed(run, [row("n1", both, 90), row("n2", both, 0)]) is None, "one was not observed for long"
